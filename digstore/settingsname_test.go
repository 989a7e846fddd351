package digstore

import "testing"

// TestSettingsNames has the spellings that git's verify_path refuses, and the same for hg, svn and
// digstore.
func TestSettingsNames(t *testing.T) {
	for name, want := range map[string]bool{
		".git": true, ".GIT": true, ".gIt": true, ".hg": true, ".svn": true, ".SVN": true, ".dig": true, ".DIG": true,
		".git.": true, ".git ": true, ".git . .": true, ".git::$INDEX_ALLOCATION": true, ".git:x": true, ".dig::$DATA": true,
		"git~1": true, "GIT~2": true, "Git~15": true, "hg~1": true, "svn~1": true, "dig~1": true, "DIG~1 .": true,
		"git~1:$I30:$INDEX_ALLOCATION": true, "gi7eba~1": true, "GI1A2B~9": true, "di7eba~1": true,
		".g\u200cit": true, "\ufeff.git": true, ".gi\u200dt": true, ".\u202egit": true, ".git\u206f": true, ".h\u200eg": true,
		".gi\ufe0ft": true, ".\u00adgit": true, ".\u017fvn": true, // long s, which case folding makes an s
		"git": false, "dig": false, ".gitignore": false, ".github": false, ".gitattributes": false, ".digignore": false,
		".dig.txt": false, "git~": false, "git~x": false, "git~1.txt": false, "gitx~1": false, "gi7ebz~1": false, "x:.git": false,
		".gît": false, "..git": false, "": false, "....": false, " .git": false, ".git-": false, "digit~1": false,
	} {
		if got := isSettingsName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
