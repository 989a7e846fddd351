package module

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/dig-network/digstore/internal/codec"
)

// Metadata is section 6 (FORMAT.md 5.3). A nil string is absent, which differs from
// empty. Decoded metadata encodes to the same bytes if the maps of the input were
// in order.
type Metadata struct {
	SchemaVersion uint32
	Name          string
	Version       *string
	Description   *string
	Authors       []Author
	License       *string
	Homepage      *string
	Repository    *string
	Keywords      []string
	Categories    []string
	Icon          *string
	ContentType   *string
	Links         map[string]string
	Custom        map[string]json.RawMessage // JSON documents as text
}

// An Author is one of the authors of a Metadata.
type Author struct {
	Name    string
	Handle  *string
	Contact *string
}

// messageKey is the custom entry that holds the message of a commit.
const messageKey = "message"

// Message returns the message of the commit: the custom entry "message", if it is
// a JSON string.
func (m *Metadata) Message() (string, bool) {
	var s *string
	if raw, ok := m.Custom[messageKey]; !ok || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// SetMessage sets the message of the commit.
func (m *Metadata) SetMessage(s string) {
	if m.Custom == nil {
		m.Custom = make(map[string]json.RawMessage)
	}
	m.Custom[messageKey] = compact(s)
}

// compact returns v as JSON without white space and without HTML escapes, members
// in order.
func compact(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // v is a string, or was decoded from JSON
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// MarshalBinary returns the encoding of FORMAT.md 5.3.
func (m *Metadata) MarshalBinary() ([]byte, error) { return marshal(m) }

// UnmarshalBinary reads the encoding of FORMAT.md 5.3.
func (m *Metadata) UnmarshalBinary(b []byte) error { return unmarshal(b, m) }

func (m *Metadata) encode(w *codec.Writer) {
	w.U32(m.SchemaVersion)
	w.String(m.Name)
	encodeOptionalString(w, m.Version)
	encodeOptionalString(w, m.Description)
	w.Count(len(m.Authors))
	for _, a := range m.Authors {
		w.String(a.Name)
		encodeOptionalString(w, a.Handle)
		encodeOptionalString(w, a.Contact)
	}
	encodeOptionalString(w, m.License)
	encodeOptionalString(w, m.Homepage)
	encodeOptionalString(w, m.Repository)
	encodeStrings(w, m.Keywords)
	encodeStrings(w, m.Categories)
	encodeOptionalString(w, m.Icon)
	encodeOptionalString(w, m.ContentType)
	w.Count(len(m.Links))
	for _, k := range slices.Sorted(maps.Keys(m.Links)) {
		w.String(k)
		w.String(m.Links[k])
	}
	w.Count(len(m.Custom))
	for _, k := range slices.Sorted(maps.Keys(m.Custom)) {
		if !json.Valid(m.Custom[k]) {
			w.Fail(fmt.Errorf("custom entry %.40q is not JSON", k))
		}
		w.String(k)
		w.String(string(m.Custom[k]))
	}
}

func (m *Metadata) decode(r *codec.Reader) {
	*m = Metadata{
		SchemaVersion: r.U32(),
		Name:          r.String(),
		Version:       decodeOptionalString(r),
		Description:   decodeOptionalString(r),
	}
	for n := r.Count(6); n > 0 && r.Err() == nil; n-- {
		a := Author{r.String(), decodeOptionalString(r), decodeOptionalString(r)}
		m.Authors = append(m.Authors, a)
	}
	m.License = decodeOptionalString(r)
	m.Homepage = decodeOptionalString(r)
	m.Repository = decodeOptionalString(r)
	m.Keywords = decodeStrings(r)
	m.Categories = decodeStrings(r)
	m.Icon = decodeOptionalString(r)
	m.ContentType = decodeOptionalString(r)
	for n := r.Count(8); n > 0 && r.Err() == nil; n-- {
		if m.Links == nil {
			m.Links = make(map[string]string)
		}
		k := r.String()
		m.Links[k] = r.String()
	}
	for n := r.Count(8); n > 0 && r.Err() == nil; n-- {
		if m.Custom == nil {
			m.Custom = make(map[string]json.RawMessage)
		}
		k, v := r.String(), json.RawMessage(r.String())
		if r.Err() == nil && !json.Valid(v) {
			r.Fail(fmt.Errorf("custom entry %.40q is not JSON", k))
		}
		m.Custom[k] = v
	}
}

// metadataJSON is the JSON form of a Metadata.
type metadataJSON struct {
	SchemaVersion *uint32                    `json:"schema_version,omitempty"`
	Name          string                     `json:"name"`
	Version       string                     `json:"version,omitempty"`
	Description   string                     `json:"description,omitempty"`
	Authors       []map[string]any           `json:"authors,omitempty"`
	License       string                     `json:"license,omitempty"`
	Homepage      string                     `json:"homepage,omitempty"`
	Repository    string                     `json:"repository,omitempty"`
	Keywords      []string                   `json:"keywords,omitempty"`
	Categories    []string                   `json:"categories,omitempty"`
	Icon          string                     `json:"icon,omitempty"`
	ContentType   string                     `json:"content_type,omitempty"`
	Links         map[string]any             `json:"links,omitempty"`
	Custom        map[string]json.RawMessage `json:"custom,omitempty"`
}

// UnmarshalJSON reads the JSON form of FORMAT.md 5.3. Strings that are missing or
// empty become absent. Authors without a name and links that are not strings are
// left out. The schema version is 1 unless given. Custom values are made compact,
// with their members in order.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	var in metadataJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	optional := func(s any) *string {
		if s, ok := s.(string); ok && s != "" {
			return &s
		}
		return nil
	}
	*m = Metadata{
		SchemaVersion: 1, Name: in.Name,
		Version: optional(in.Version), Description: optional(in.Description),
		License: optional(in.License), Homepage: optional(in.Homepage),
		Repository: optional(in.Repository),
		Keywords:   in.Keywords, Categories: in.Categories,
		Icon: optional(in.Icon), ContentType: optional(in.ContentType),
	}
	if in.SchemaVersion != nil {
		m.SchemaVersion = *in.SchemaVersion
	}
	for _, a := range in.Authors {
		if name, ok := a["name"].(string); ok {
			m.Authors = append(m.Authors, Author{name, optional(a["handle"]), optional(a["contact"])})
		}
	}
	for k, v := range in.Links {
		if s, ok := v.(string); ok {
			if m.Links == nil {
				m.Links = make(map[string]string)
			}
			m.Links[k] = s
		}
	}
	for k, raw := range in.Custom {
		if m.Custom == nil {
			m.Custom = make(map[string]json.RawMessage)
		}
		v, err := decodeNumbers(raw)
		if err != nil {
			return fmt.Errorf("read metadata: custom entry %.40q: %w", k, err)
		}
		m.Custom[k] = compact(v)
	}
	return nil
}

// MarshalJSON returns the JSON form.
func (m Metadata) MarshalJSON() ([]byte, error) {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	out := metadataJSON{
		SchemaVersion: &m.SchemaVersion, Name: m.Name,
		Version: text(m.Version), Description: text(m.Description),
		License: text(m.License), Homepage: text(m.Homepage), Repository: text(m.Repository),
		Keywords: m.Keywords, Categories: m.Categories,
		Icon: text(m.Icon), ContentType: text(m.ContentType),
		Custom: m.Custom,
	}
	for _, a := range m.Authors {
		author := map[string]any{"name": a.Name}
		if a.Handle != nil {
			author["handle"] = *a.Handle
		}
		if a.Contact != nil {
			author["contact"] = *a.Contact
		}
		out.Authors = append(out.Authors, author)
	}
	for k, v := range m.Links {
		if out.Links == nil {
			out.Links = make(map[string]any)
		}
		out.Links[k] = v
	}
	return json.Marshal(out)
}

// decodeNumbers decodes JSON and keeps numbers as text.
func decodeNumbers(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}
