package config

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Sources are the sources of settings.
type Sources struct {
	File  string   // the path of node.yaml; empty: no file
	Env   []string // as os.Environ returns it
	Flags []Flag   // those that were given
}

// A Flag is a flag that stands for a key.
type Flag struct {
	Name  string // as in "--plots"
	Key   string
	Value string
}

// Prefix is the prefix of environment variables: DIG_NODE_STORAGE_MAX_PLOTS is storage.max_plots.
// An empty variable is ignored.
const Prefix = "DIG_NODE_"

// Variables that are not for keys.
const (
	FileVar     = Prefix + "CONFIG" // the path of the file; the caller of Load reads it
	UsernameVar = "DIG_USERNAME"    // with PasswordVar: one more credential
	PasswordVar = "DIG_PASSWORD"
)

// EnvName returns the variable of a key.
func EnvName(key string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Load reads the configuration. An error about settings is a [Problems].
func Load(s Sources) (*Config, error) {
	r := newReader()
	if s.File != "" {
		if err := r.file(s.File); err != nil {
			return nil, err
		}
	}
	r.environment(s.Env)
	for _, f := range s.Flags {
		r.set(f.Key, textNode(f.Value, r.fields[f.Key]), Origin{"flag", f.Name})
	}
	return r.finish()
}

// Parse reads a configuration from a text, without environment and flags. name stands in errors.
func Parse(name string, text []byte) (*Config, error) {
	r := newReader()
	r.name = name
	r.text(text)
	return r.finish()
}

func (r *reader) finish() (*Config, error) {
	r.resolvePaths()
	r.check()
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return r.c, nil
}

// environment reads the variables with the prefix.
func (r *reader) environment(env []string) {
	known := map[string]string{}
	for key := range r.fields {
		known[EnvName(key)] = key
	}
	for _, entry := range slices.Sorted(slices.Values(env)) {
		name, value, _ := strings.Cut(entry, "=")
		key, ok := known[name]
		switch {
		case value == "":
		case ok:
			r.set(key, textNode(value, r.fields[key]), Origin{"environment", name})
		case strings.HasPrefix(name, Prefix) && name != FileVar:
			// Not an error: systems that run containers set variables with the name of a service.
			r.warn("the variable %s stands for no key", name)
		}
	}
	vars := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
	}
	r.userFrom(vars[UsernameVar], vars[PasswordVar])
}

// resolvePaths makes relative paths of the file relative to its folder.
func (r *reader) resolvePaths() {
	if r.c.File == "" {
		return
	}
	dir := filepath.Dir(r.c.File)
	for key, p := range r.c.paths() {
		if *p != "" && r.c.origins[key].Kind == "file" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if r.c.origins["storage.plots_dir"].Kind == "file" {
		for i := range r.c.Storage.PlotsDir {
			p := &r.c.Storage.PlotsDir[i].Path
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(dir, *p)
			}
		}
	}
}

// paths returns the keys that are paths, except storage.plots_dir.
func (c *Config) paths() map[string]*string {
	return map[string]*string{
		"node.data_dir": &c.Node.DataDir, "storage.cache_dir": &c.Storage.CacheDir,
		"network.tls.cert_file": &c.Network.TLS.Cert, "network.tls.key_file": &c.Network.TLS.Key,
		"monitoring.log_file": &c.Monitoring.LogFile, "chain.cert": &c.Chain.Cert,
		"access.file": &c.Access.File, "handles.file": &c.Handles.File,
		"rewards.file": &c.Rewards.File, "bribes.file": &c.Bribes.File,
	}
}

// Origin returns where the value of a key comes from.
func (c *Config) Origin(key string) Origin {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return Origin{Kind: "default"}
}

// Keys returns every key, in the order of a file.
func Keys() []string {
	all := make([]string, len(settings))
	for i, s := range settings {
		all[i] = s.key
	}
	return all
}

// Changes compares two configurations. live are the keys with another value that a reload applies,
// restart those that it does not.
func Changes(before, after *Config) (live, restart []string) {
	old := map[string]reflect.Value{}
	for _, l := range before.leaves() {
		old[l.key] = l.v
	}
	for _, l := range after.leaves() {
		if reflect.DeepEqual(old[l.key].Interface(), l.v.Interface()) {
			continue
		}
		if s, _ := find(l.key); s.live {
			live = append(live, l.key)
		} else {
			restart = append(restart, l.key)
		}
	}
	return live, restart
}

// Secrets returns every secret of c, for a log that must not have them.
func (c *Config) Secrets() []string {
	all := map[string]bool{}
	for _, one := range c.Auth.Credentials {
		all[string(one.PasswordHash)], all[string(one.Token)] = true, true
		all[string(one.Password)] = true
	}
	for _, one := range c.Auth.APIKeys {
		all[string(one.Key)] = true
	}
	for _, one := range c.Auth.Admins {
		all[string(one.PasswordHash)] = true
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

// Keep returns c with the values that before has for some keys.
func (c *Config) Keep(before *Config, keys []string) *Config {
	kept := *c
	old := map[string]reflect.Value{}
	for _, l := range before.leaves() {
		old[l.key] = l.v
	}
	for _, l := range kept.leaves() {
		if slices.Contains(keys, l.key) {
			l.v.Set(old[l.key])
		}
	}
	return &kept
}
