package api

import (
	"net/http"
	"strconv"
	"strings"

	"fairlead/internal/model"
)

// configuration answers with the documents and, as the ETag, their hash.
func (h *handler) configuration(w http.ResponseWriter, r *request) {
	c, err := h.daemon.Configuration(r.Context())
	if err != nil {
		WriteProblem(w, KindFailed, err)
		return
	}
	c.Documents = listed(c.Documents)
	if r.by.Role < model.RoleAdmin {
		c = redacted(c)
	}
	w.Header().Set("ETag", `"`+c.Hash+`"`)
	writeJSON(w, c)
}

func (h *handler) validate(r *request) (Checked, error) {
	sent, err := decode[Documents](r.text)
	if err != nil {
		return Checked{}, err
	}
	found, err := h.daemon.Check(r.Context(), sent.Documents)
	if err != nil {
		return Checked{}, err
	}
	hide, err := h.hidden(r, sent.Documents)
	return hide.checked(found), err
}

func (h *handler) diff(r *request) (Difference, error) {
	sent, err := decode[Documents](r.text)
	if err != nil {
		return Difference{}, err
	}
	d, err := h.daemon.Diff(r.Context(), sent.Documents)
	if err != nil {
		return Difference{}, err
	}
	hide, err := h.hidden(r, sent.Documents)
	return hide.difference(d), err
}

func (h *handler) apply(r *request) (AppliedConfiguration, error) {
	match, err := neededMatch(r)
	if err != nil {
		return AppliedConfiguration{}, err
	}
	sent, err := decode[Documents](r.text)
	if err != nil {
		return AppliedConfiguration{}, err
	}
	done, err := h.daemon.Apply(r.Context(), r.by, match, sent.Documents)
	done.Warnings = listed(done.Warnings)
	return done, err
}

func (h *handler) saveDraft(r *request) (model.Draft, error) {
	match, err := draftMatch(r)
	if err != nil {
		return model.Draft{}, err
	}
	sent, err := decode[Documents](r.text)
	if err != nil {
		return model.Draft{}, err
	}
	draft, err := h.daemon.SaveDraft(r.Context(), r.by, match, sent.Documents)
	draft.Documents = listed(draft.Documents)
	return draft, err
}

func (h *handler) discardDraft(r *request) (nothing, error) {
	match, err := draftMatch(r)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, h.daemon.DiscardDraft(r.Context(), r.by, match)
}

func (h *handler) versions(r *request) ([]model.Version, error) {
	all, err := h.daemon.Versions(r.Context())
	return listed(all), err
}

func (h *handler) version(r *request) (model.Version, error) {
	id, err := versionID(r)
	if err != nil {
		return model.Version{}, err
	}
	return h.daemon.Version(r.Context(), id)
}

func (h *handler) restore(r *request) (AppliedConfiguration, error) {
	id, err := versionID(r)
	if err != nil {
		return AppliedConfiguration{}, err
	}
	match, err := neededMatch(r)
	if err != nil {
		return AppliedConfiguration{}, err
	}
	done, err := h.daemon.Restore(r.Context(), r.by, match, id)
	done.Warnings = listed(done.Warnings)
	return done, err
}

// versionID reads the number of a version. What is no number names none.
func versionID(r *request) (uint64, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, KindNotFound.New("find the version " + strconv.Quote(r.PathValue("id")) + ": versions are numbers")
	}
	return id, nil
}

// neededMatch is the hash that If-Match names (RFC 9110, section 13.1.1).
func neededMatch(r *request) (string, error) {
	if len(r.Header.Values("If-Match")) == 0 {
		return "", KindUnmatched.New(`the header If-Match is missing: send the hash of the configuration that you edited, as in If-Match: "HASH"; GET /api/v1/config tells it`)
	}
	return matchedHash(r)
}

// draftMatch is the hash of the draft that is replaced, "" when there is none yet.
func draftMatch(r *request) (string, error) {
	if match := r.Header.Values("If-Match"); len(match) == 0 || len(match) == 1 && match[0] == "*" {
		return "", nil
	}
	return matchedHash(r)
}

// matchedHash reads exactly one strong entity tag.
func matchedHash(r *request) (string, error) {
	match := r.Header.Values("If-Match")
	if len(match) == 1 {
		text, opened := strings.CutPrefix(match[0], `"`)
		hash, closed := strings.CutSuffix(text, `"`)
		if opened && closed && hash != "" && !strings.ContainsAny(hash, `", `) {
			return hash, nil
		}
	}
	return "", malformed(`the header If-Match is %q; it takes one hash in double quotes, as in "HASH"`, strings.Join(match, ", "))
}
