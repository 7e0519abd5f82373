package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"fairlead/internal/api"
)

//go:embed static
var embedded embed.FS

// kinds are the files that are served, by their names' ends. Others are not.
var kinds = map[string]string{
	".html":  "text/html; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".svg":   "image/svg+xml",
	".png":   "image/png",
	".ico":   "image/x-icon",
	".woff2": "font/woff2",
}

// asset is one file of the pages.
type asset struct {
	content []byte
	kind    string
	tag     string // of its content, as ETag
}

// assets are the files of the pages by their address below /static/. They are
// public: they hold no data of the daemon.
type assets map[string]asset

func readAssets() (assets, error) {
	all := assets{}
	err := fs.WalkDir(embedded, "static", func(name string, entry fs.DirEntry, err error) error {
		kind, served := kinds[path.Ext(name)]
		if err != nil || entry.IsDir() || !served {
			return err
		}
		content, err := embedded.ReadFile(name)
		sum := sha256.Sum256(content)
		all[strings.TrimPrefix(name, "static/")] = asset{content, kind, `"` + hex.EncodeToString(sum[:16]) + `"`}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the embedded pages: %w", err)
	}
	return all, nil
}

// static answers with a file. Its name is looked up among those that there are:
// no path is followed.
func (g *gate) static(w http.ResponseWriter, r *http.Request) {
	found, there := g.assets[strings.TrimPrefix(r.URL.Path, "/static/")]
	if !there {
		notFound(w, r)
		return
	}
	// Browsers keep it, and ask each time whether it is still the same.
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", found.tag)
	found.serve(w, r)
}

// page answers with the shell of all pages.
func (g *gate) page(w http.ResponseWriter, r *http.Request) { g.assets["index.html"].serve(w, r) }

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	if !only(w, r, http.MethodGet, http.MethodHead) || !limitWrite(w) {
		return
	}
	w.Header().Set("Content-Type", a.kind)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}

// only refuses other methods.
func only(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	allowed := strings.Join(methods, ", ")
	w.Header().Set("Allow", allowed)
	api.WriteProblem(w, api.KindMethod, fmt.Errorf("%s takes %s, not %s", r.URL.Path, allowed, r.Method))
	return false
}

func notFound(w http.ResponseWriter, r *http.Request) {
	api.WriteProblem(w, api.KindNotFound, fmt.Errorf("no such address: %s", r.URL.Path))
}

// limitWrite gives an answer its time. False: the client has left.
func limitWrite(w http.ResponseWriter) bool {
	return http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) == nil
}

// limitRead gives the body of a request its time; 0: any. False: the client has
// left.
func limitRead(w http.ResponseWriter, limit time.Duration) bool {
	var end time.Time
	if limit > 0 {
		end = time.Now().Add(limit)
	}
	return http.NewResponseController(w).SetReadDeadline(end) == nil
}
