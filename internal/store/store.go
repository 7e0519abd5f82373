package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"fairlead/internal/model"
)

// What an error means for who asked.
var (
	ErrConflict = errors.New("somebody changed it meanwhile")
	ErrNotFound = errors.New("there is no such thing")
)

const (
	maxDocument = 4 << 20  // bytes of one document
	maxTotal    = 16 << 20 // bytes of all
)

// pages are the documents that a directory always has, and their tabs.
var pages = map[string]model.Tab{"flow.cfg": model.TabFlow, "l4.cfg": model.TabL4, "services.cfg": model.TabServices}

// Store keeps the documents of one configuration. Its methods may be called by several
// goroutines at once; one store has a state directory for itself.
type Store struct {
	paths []string // files and directories, as they were given
	dir   string   // for the draft, the versions and what is under way
	disk  disk

	mu      sync.Mutex // held by every method: guards the files, and the following
	remarks []string
}

// Open returns the store of the documents in files and directories. It keeps its own
// things in a directory below stateDir, which it makes when there is something to
// keep: who can read but not write can still read.
func Open(paths []string, stateDir string) (*Store, error) {
	if len(paths) == 0 {
		return nil, errors.New("open the configuration: no file and no directory is named")
	}
	for i, p := range paths {
		switch {
		case p == "" || p == "-":
			return nil, fmt.Errorf("open the configuration: %q is no file: name a file or a directory that can be read again", p)
		case slices.Contains(paths[:i], p):
			return nil, fmt.Errorf("open the configuration: %s is named twice", p)
		}
	}
	return &Store{paths: slices.Clone(paths), dir: filepath.Join(stateDir, "configuration"), disk: real{}}, nil
}

// Remarks are what was found or done that somebody should know, in words: what was
// torn and passed over, what was half done and is whole again. Each is told once.
func (s *Store) Remarks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.remarks
	s.remarks = nil
	return told
}

func (s *Store) remark(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.remarks, text) {
		s.remarks = append(s.remarks, text)
	}
}

// Read returns the documents as the files hold them, in the order in which they are
// one configuration, and their hash.
func (s *Store) Read() ([]model.Document, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, err := s.read()
	if err != nil {
		return nil, "", fmt.Errorf("read the configuration: %w", err)
	}
	docs := documents(files)
	return docs, Hash(docs), nil
}

// Hash is the hash of documents: of their names and texts, in order.
func Hash(docs []model.Document) string {
	sum := sha256.New()
	for _, d := range docs {
		for _, text := range []string{d.Name, d.Text} {
			var length [8]byte
			binary.BigEndian.PutUint64(length[:], uint64(len(text)))
			sum.Write(length[:])
			io.WriteString(sum, text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// file is a document and where its text is.
type file struct {
	model.Document
	path   string // without symbolic links
	exists bool
}

func documents(files []file) []model.Document {
	docs := make([]model.Document, len(files))
	for i, f := range files {
		docs[i] = f.Document
	}
	return docs
}

// read settles what is under way and reads the files.
func (s *Store) read() ([]file, error) {
	instead := s.settle()
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	files := make([]file, len(names))
	total := 0
	for i, name := range names {
		f := file{Document: model.Document{Name: name, Tab: pages[filepath.Base(name)]}}
		if err := f.locate(); err != nil {
			return nil, err
		}
		text, ok := instead[f.path]
		if !ok && f.exists {
			if text, err = readFile(f.path, maxDocument); err != nil {
				return nil, named(name, err)
			}
		}
		f.Text = text
		if total += len(text); total > maxTotal {
			return nil, fmt.Errorf("the documents are longer than %d MiB together: that is no configuration", maxTotal>>20)
		}
		files[i] = f
	}
	return files, nil
}

// names lists the documents. A directory has its *.cfg files and the three of the
// application note, in lexical order.
func (s *Store) names() ([]string, error) {
	var all []string
	for _, path := range s.paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, named(path, err)
		}
		if !info.IsDir() {
			all = append(all, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, named(path, err)
		}
		bases := slices.Collect(maps.Keys(pages))
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".cfg") && !e.IsDir() {
				bases = append(bases, e.Name())
			}
		}
		slices.Sort(bases)
		for _, base := range slices.Compact(bases) {
			all = append(all, filepath.Join(path, base))
		}
	}
	for i, name := range all {
		if slices.Contains(all[:i], name) {
			return nil, fmt.Errorf("%s is named twice", name)
		}
	}
	return all, nil
}

// locate finds the file of a document. One that is missing has its place all the same,
// in the directory that is there.
func (f *file) locate() error {
	path, err := filepath.EvalSymlinks(f.Name)
	if err == nil {
		f.path, f.exists = path, true
		return nil
	}
	if _, link := os.Lstat(f.Name); !errors.Is(err, fs.ErrNotExist) || link == nil {
		return fmt.Errorf("%w: if it is a symbolic link, it leads nowhere", named(f.Name, err))
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(f.Name))
	if err != nil {
		return named(f.Name, err)
	}
	f.path = filepath.Join(dir, filepath.Base(f.Name))
	return nil
}

// readFile reads a regular file that is not too long.
func readFile(path string, most int64) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if int64(len(text)) > most {
		return "", fmt.Errorf("it is longer than %d MiB", most>>20)
	}
	return string(text), nil
}

// named says "PATH: cause" without the name of the system call.
func named(path string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// overlay puts edited documents over those that exist: all of them, with the tabs
// that they have. A name that does not exist is refused: nobody makes files from afar.
func overlay(docs, edited []model.Document) ([]model.Document, error) {
	all := slices.Clone(docs)
	seen := make(map[string]bool)
	for _, e := range edited {
		i := slices.IndexFunc(all, func(d model.Document) bool { return d.Name == e.Name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("the configuration has no document %q: %w", e.Name, ErrNotFound)
		case seen[e.Name]:
			return nil, fmt.Errorf("the document %s is given twice", e.Name)
		case len(e.Text) > maxDocument:
			return nil, fmt.Errorf("the document %s is longer than %d MiB", e.Name, maxDocument>>20)
		}
		seen[e.Name] = true
		all[i].Text = e.Text
	}
	total := 0
	for _, d := range all {
		total += len(d.Text)
	}
	if total > maxTotal {
		return nil, fmt.Errorf("the documents are longer than %d MiB together", maxTotal>>20)
	}
	return all, nil
}
