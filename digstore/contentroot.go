package digstore

import (
	"path/filepath"
	"strings"
)

// AllowContentRoot allows commits from a folder outside of the folder of the workspace, and from
// folders below it, until the workspace is closed. SetContentRoot and Create call it for the folder
// that they are given. It is needed because .dig, which names the folder, may come from an archive
// or a git clone.
func (w *Workspace) AllowContentRoot(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outside[realPath(w.absolute(dir))] = true
}

// AllowContentRoot is Workspace.AllowContentRoot.
func (s *Store) AllowContentRoot(dir string) { s.w.AllowContentRoot(dir) }

// CheckContentRoot returns a *ContentRootError if commits from the content root of the store are
// not allowed.
func (s *Store) CheckContentRoot() error {
	_, err := s.contentRoot()
	return err
}

// contentRoot returns the folder that commits are made from, "" if there is none, and an error if
// commits from it are not allowed.
func (s *Store) contentRoot() (string, error) {
	root, err := s.namedContentRoot()
	if err != nil || root == "" {
		return "", err
	}
	real, top := realPath(root), realPath(s.w.dir)
	inside := within(top, real)
	refused := &ContentRootError{Store: s.name, ContentRoot: real, Workspace: top}
	if holdsSettings(top, real) {
		refused.Never = true
		return "", refused
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for allowed := range s.w.outside {
		inside = inside || within(allowed, real)
	}
	if !inside {
		return "", refused
	}
	return root, nil
}

// holdsSettings reports whether a path is, or lies in, a folder of settings or keys, such as .git.
// Of a path below top, the folder of the workspace, only the part behind top counts. Both are real
// paths.
func holdsSettings(top, path string) bool {
	if within(top, path) {
		path = strings.TrimPrefix(path, top)
	}
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if isSettingsName(part) {
			return true
		}
	}
	return false
}

// within reports whether a path is dir or lies below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// namedContentRoot returns the folder that workspace.toml names, without checking it.
func (s *Store) namedContentRoot() (string, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := s.w.refreshLocked(); err != nil {
		return "", err
	}
	root := s.w.reg.Stores[s.name].ContentRoot
	if root == "" {
		return "", nil
	}
	return s.w.absolute(filepath.FromSlash(root)), nil
}

// absolute resolves a relative path against the folder of the workspace.
func (w *Workspace) absolute(dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(w.dir, dir)
}

// realPath makes a path absolute and resolves the links in it. A part that does not exist stays as
// it is.
func realPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for at, rest := abs, ""; ; at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if filepath.Dir(at) == at {
			return abs
		}
	}
}
