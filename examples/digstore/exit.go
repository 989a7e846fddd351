package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/node/client"
	"github.com/dig-network/digstore/plot"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/conform"
	"github.com/dig-network/digstore/remote/discovery"
)

// The exit codes. 9 to 16 are those of commands that this program does not
// have; new codes start at 17.
const (
	exitOther          = 1
	exitUsage          = 2
	exitNoStore        = 3
	exitNotFound       = 4
	exitVerification   = 5
	exitNetwork        = 6
	exitNonFastForward = 7
	exitUnauthorized   = 8
	exitLocked         = 17
	exitNonconforming  = 18
	exitNoLocalNode    = 19
	exitInterrupted    = 130 // 128 + SIGINT, as in shells
)

// exits maps errors to exit codes, to the codes of --json and to hints. The
// first row that matches applies. A hint that the failed command gives replaces
// the one of the table.
var exits = []struct {
	match func(error) bool
	exit  int
	code  string
	hint  string
}{
	{as[*interrupted], exitInterrupted, "INTERRUPTED", ""},
	{as[*outputError], exitOther, "ERROR", "the command may have succeeded; only its output is lost"},
	{as[*usageError], exitUsage, "INVALID_ARGUMENT", ""},
	{is(digstore.ErrNoWorkspace), exitNoStore, "NO_STORE", "digstore init NAME makes a store here; -C DIR works in another folder"},
	{is(digstore.ErrOldLayout), exitOther, "ERROR", "change it to the current layout with: digstore migrate"},
	{as[*digstore.AccessError], exitOther, "ERROR", ""}, // hintOf
	{as[*digstore.ContentRootError], exitOther, "ERROR", "choose another content root in workspace.toml"},
	{is(digstore.ErrIrregular), exitVerification, "VERIFICATION_FAILED", "if you did not make this workspace, do not use it; otherwise move the file away"},
	{is(digstore.ErrLocked), exitLocked, "LOCKED", "wait until the other program has finished, then run the command again"},
	{is(digstore.ErrNothingStaged), exitOther, "ERROR", "stage files with: digstore add PATH..."},
	{is(digstore.ErrUnchanged), exitOther, "ERROR", "digstore status shows what a commit would publish"},
	{as[*digstore.RecurringRootError], exitOther, "ERROR", "to commit it as a new generation, use: digstore commit --again"},
	{is(digstore.ErrNoKey), exitOther, "ERROR", "import the publisher key with: digstore key import FILE; if the chain authorizes your key, import it with --writer"},
	{as[*digstore.ChangingError], exitOther, "ERROR", "run the command again when the file is no longer written to, or list the file in .digignore"},
	{damagedNames, exitVerification, "VERIFICATION_FAILED", "ask the publisher for the output of digstore urn --all and pass it with --names"},
	{as[*digstore.UnnamedError], exitOther, "ERROR", "ask the publisher for the output of digstore urn --all and pass it with --names, or write only the resources with known names with --partial"},
	{as[*digstore.UnsafeNamesError], exitOther, "ERROR", "commit --skip-unsafe and checkout --partial leave them out; read one with: digstore cat KEY -o FILE"},
	{as[*digstore.KeyNameError], exitOther, "ERROR", "read it with: digstore cat KEY -o FILE"},
	{as[*digstore.TooLargeError], exitOther, "ERROR", "publish fewer files, or raise max_size in the store's config.toml"},
	{is(auth.ErrRevoked), exitVerification, "VERIFICATION_FAILED", "the publisher revoked this; ask the publisher which root replaces it"},
	{is(digstore.ErrStaging), exitVerification, "VERIFICATION_FAILED", "empty the staging file with digstore unstage --all, then add the files again"},
	{is(digstore.ErrCorrupt), exitVerification, "VERIFICATION_FAILED", "restore the file from a backup, or clone the store again"},
	{as[*plot.FormatError], exitVerification, "VERIFICATION_FAILED", "repair it from a copy of the same file with: digstore plot repair PLOT --from COPY; or save the undamaged capsules with: digstore plot salvage"},
	{is(plot.ErrMagic), exitUsage, "INVALID_ARGUMENT", "name a plot file; digstore plot list FOLDER lists the plots in a folder"},
	{is(client.ErrBadURL), exitUsage, "INVALID_ARGUMENT", "a URL of a node is https://HOST:PORT or http://127.0.0.1:8555"},
	{is(client.ErrInsecure), exitUsage, "INVALID_ARGUMENT", loopbackOnly},
	{is(client.ErrDeclined), exitOther, "DECLINED", "the node's operator can allow the datastore, or push it with the node's own token"},
	{is(capsule.ErrUntrusted), exitVerification, "VERIFICATION_FAILED", "name the capsule root with --root ROOT, or a key that signs roots with --writer KEY"},
	{is(capsule.ErrPath), exitVerification, "VERIFICATION_FAILED", "the node's proof does not lead to the root; use another node"},
	{nodeRefused(client.ErrConflict), exitNonFastForward, "NON_FAST_FORWARD", "the node has another generation with this number; push one that follows it"},
	{nodeRefused(client.ErrStale), exitNonFastForward, "NON_FAST_FORWARD", "the node has a later generation; push the head of the store"},
	{nodeRefused(auth.ErrSignature), exitUnauthorized, "UNAUTHORIZED", "the node expects the key of a writer, or of a validator that it knows"},
	{nodeStatus(401), exitUnauthorized, "UNAUTHORIZED", "give the node's token with --token-file FILE, or a user with --user NAME"},
	{nodeStatus(403), exitUnauthorized, "UNAUTHORIZED", "ask the operator of the node for access"},
	{nodeRefused(errors.ErrUnsupported), exitNetwork, "NETWORK", "this node does not do that; digstore capsule status NODE shows its abilities"},
	{nodeRefused(fs.ErrNotExist), exitNotFound, "NOT_FOUND", "check the id; the node may not have this datastore or generation"},
	{nodeRefused(capsule.ErrNotReady), exitNetwork, "NETWORK", "try again later"},
	{nodeRefused(client.ErrNoSpace), exitNetwork, "NETWORK", "the node has no room; its operator can raise the quota"},
	{as[*client.StatusError], exitNetwork, "NETWORK", "try again later, or try another node"},
	{is(client.ErrRedirect), exitNetwork, "NETWORK", "redirects are not followed; use the URL that it redirects to"},
	{is(capsule.ErrContentMismatch), exitVerification, "VERIFICATION_FAILED", "the source sent different content for the capsule; use another source"},
	{is(capsule.ErrProof), exitVerification, "VERIFICATION_FAILED", "the answer does not prove what the challenge asks for"},
	{is(capsule.ErrChallenge), exitUsage, "INVALID_ARGUMENT", "a challenge is the JSON body of POST /validation/challenge"},
	{is(capsule.ErrManifest), exitVerification, "VERIFICATION_FAILED", "the manifest is inconsistent; get it from a source that you trust"},
	{is(plot.ErrLocked), exitLocked, "LOCKED", "wait until the other program has finished, then run the command again"},
	{is(conform.ErrNonconforming), exitNonconforming, "NONCONFORMING", "the report names the sections of remote/PROTOCOL.md"},
	{is(chain.ErrUnavailable), exitNetwork, "NETWORK", "check the chain source with digstore anchor show, or name another one with --chain"},
	{is(chain.ErrRateLimited), exitNetwork, "NETWORK", "wait, or name another source with --chain"},
	{is(chain.ErrStoreNotFound), exitVerification, "VERIFICATION_FAILED", "if the store is not on the chain, use --chain none"},
	{is(chain.ErrMelted), exitVerification, "VERIFICATION_FAILED", "the owner destroyed the store on the chain; --chain none ignores the chain"},
	{is(chain.ErrWrongNetwork), exitVerification, "VERIFICATION_FAILED", "name the network with --network, or another source with --chain"},
	{is(chain.ErrShallow), exitVerification, "VERIFICATION_FAILED", "wait until more blocks confirm it"},
	{onChain, exitVerification, "VERIFICATION_FAILED", "nothing was changed; try another source with --chain"},
	{is(remote.ErrBadURL), exitUsage, "INVALID_ARGUMENT", "a URL of a store is dig://HOST/ID, https://HOST/stores/ID or http://127.0.0.1:PORT/stores/ID"},
	{is(remote.ErrInsecure), exitUsage, "INVALID_ARGUMENT", "use dig:// or https://; http:// is allowed for loopback addresses only"},
	{is(discovery.ErrNoLocalNode), exitNoLocalNode, "NO_LOCAL_NODE", "start a node here, or name one with --node URL"},
	{is(remote.ErrHubPublisherRequired), exitOther, "ERROR", "push to a host of your own, or use the hub's own tools"},
	{is(remote.ErrClockSkew), exitUnauthorized, "UNAUTHORIZED", "set this machine's clock"},
	{is(remote.ErrKeyChanged), exitVerification, "VERIFICATION_FAILED", "ask the publisher; if the store is on the chain, use --chain; if the new key is right, use --accept-key KEY"},
	{is(remote.ErrUntrusted), exitVerification, "VERIFICATION_FAILED", "name the publisher key with --publisher KEY, or the root with --root ROOT"},
	{is(remote.ErrRollback), exitVerification, "VERIFICATION_FAILED", "this host is behind, or was tampered with: try another host; if the publisher went back to this root, use --accept-revert"},
	{is(remote.ErrForked), exitVerification, "VERIFICATION_FAILED", "the publisher signed two histories: ask which one is right, and accept it with --accept-head ROOT"},
	{is(remote.ErrDiverged), exitVerification, "VERIFICATION_FAILED", "this host has a different history of the store; try another host, or accept it with --accept-head ROOT"},
	{is(remote.ErrNoChunkLengths), exitVerification, "VERIFICATION_FAILED", "clone the store with: digstore clone URL; then run: digstore cat KEY"},
	{as[*remote.VerificationError], exitVerification, "VERIFICATION_FAILED", "nothing was taken from this host; try another one"},
	{status(401, 403), exitUnauthorized, "UNAUTHORIZED", "ask the operator of the host for access"},
	{status(404), exitNotFound, "NOT_FOUND", "check the host and the store id; a first push needs --allow ID at the host"},
	{proxied, exitNetwork, "NETWORK", "a proxy in front of the host refused the size; its operator can raise the limit for request bodies"},
	{status(413), exitNetwork, "NETWORK", "the host accepts no larger module; its operator can raise --max-module"},
	{status(409), exitNonFastForward, "NON_FAST_FORWARD", "the host has generations that are not here; get them with: digstore pull"},
	{plainToTLS, exitNetwork, "NETWORK", "the host speaks TLS: use dig:// or https:// for it"},
	{status(400, 405, 415, 501), exitNetwork, "NETWORK", "the host does not understand this request; compare its version with digstore version"},
	{status(421), exitNetwork, "NETWORK", "the host does not serve this name; ask its operator for the right name"},
	{status(422), exitNetwork, "NETWORK", "the host refused the content; check it here with: digstore verify --deep"},
	{status(507), exitNetwork, "NETWORK", "your quota at the host is used up; its operator can raise --quota or --max-stores, or remove stores"},
	{status(500), exitNetwork, "NETWORK", "the host had an internal error, which is in its log; tell its operator, or use another host"},
	{redirected, exitNetwork, "NETWORK", "redirects are not followed; use the URL that it redirects to"},
	{as[*remote.StatusError], exitNetwork, "NETWORK", "try again later, or try another host"},
	{is(remote.ErrSuperseded), exitNonFastForward, "NON_FAST_FORWARD", "the host has a later generation; to publish this content again, commit it again and push that"},
	{is(remote.ErrNonFastForward), exitNonFastForward, "NON_FAST_FORWARD", "the host has generations that are not here; get them with: digstore pull"},
	{is(module.ErrNotHead), exitNonFastForward, "NON_FAST_FORWARD", "another push came first; run digstore pull, then push again"},
	{is(remote.ErrVerification), exitVerification, "VERIFICATION_FAILED", "nothing was taken from this host; try another one"},
	{is(module.ErrFormat), exitVerification, "VERIFICATION_FAILED", "the file is not a module, or is damaged"},
	{is(module.ErrVerify), exitVerification, "VERIFICATION_FAILED", "the content does not match the signed root"},
	{is(urn.ErrSealed), exitVerification, "VERIFICATION_FAILED", "the content is damaged, or the store is private and its salt was not imported"},
	{is(auth.ErrSignature), exitVerification, "VERIFICATION_FAILED", "the signature is not the publisher's"},
	{is(request.ErrUnauthenticated), exitUnauthorized, "UNAUTHORIZED", "check this machine's clock and digstore identity"},
	{is(auth.ErrForbidden), exitUnauthorized, "UNAUTHORIZED", "ask the operator of the host for access"},
	{is(auth.ErrKeyFile), exitOther, "ERROR", "a key file has 32 bytes, and only its owner may read it"},
	{is(remote.ErrTooLarge), exitNetwork, "NETWORK", "this is a limit of this program; clone and pull raise it with --max-module SIZE"},
	{is(remote.ErrProtocol), exitNetwork, "NETWORK", "check the URL: the server does not speak the dig:// protocol"},
	{is(client.ErrProtocol), exitNetwork, "NETWORK", "check the URL: a node answers at the address of its HTTP API"},
	{is(client.ErrTooSlow), exitNetwork, "NETWORK", "try another node, or accept slower answers with --min-rate SIZE"},
	{is(remote.ErrTooSlow), exitNetwork, "NETWORK", "try another host, or accept slower answers with --min-rate SIZE"},
	{hostname, exitNetwork, "NETWORK", "the certificate is for another host; check the host's name"},
	{expired, exitNetwork, "NETWORK", "check this machine's clock; if it is right, the operator of the host must renew the certificate"},
	{as[*tls.CertificateVerificationError], exitNetwork, "NETWORK", "if you know who signed the certificate, trust that authority with --ca FILE"},
	{transport, exitNetwork, "NETWORK", "check the host's name and the network, then run the command again"},
	{is(fs.ErrInvalid), exitUsage, "INVALID_ARGUMENT", "choose another name"},
	{is(fs.ErrExist), exitUsage, "INVALID_ARGUMENT", "choose a name that does not exist yet"},
	{is(digstore.ErrRemoved), exitNotFound, "NOT_FOUND", "another program removed the store while this one used it"},
	{is(fs.ErrNotExist), exitNotFound, "NOT_FOUND", "check the name; digstore log and digstore stores list what is here"},
	{func(error) bool { return true }, exitOther, "ERROR", "no partial change remains; correct the cause and run the command again"},
}

// damagedNames reports whether names are missing because a file of names is damaged.
func damagedNames(err error) bool {
	return as[*digstore.UnnamedError](err) && errors.Is(err, digstore.ErrCorrupt)
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

func status(codes ...int) func(error) bool {
	return func(err error) bool {
		var s *remote.StatusError
		if errors.As(err, &s) {
			for _, code := range codes {
				if s.Code == code {
					return true
				}
			}
		}
		return false
	}
}

// proxied reports whether a proxy refused a request because of its size.
func proxied(err error) bool {
	var s *remote.StatusError
	return errors.As(err, &s) && s.Proxy && s.Code == http.StatusRequestEntityTooLarge
}

// plainToTLS reports whether a server in Go, as ours is, was spoken to without the TLS that it
// expects.
func plainToTLS(err error) bool {
	var s *remote.StatusError
	return errors.As(err, &s) && s.Code == http.StatusBadRequest &&
		strings.Contains(s.Message, "HTTP request to an HTTPS server")
}

// redirected reports whether a host answered with a redirect.
func redirected(err error) bool { return errors.Is(err, remote.ErrRedirect) }

// hostname reports whether a certificate is for another host.
func hostname(err error) bool {
	return as[*tls.CertificateVerificationError](err) && as[x509.HostnameError](err)
}

// expired reports whether a certificate is not valid at this time.
func expired(err error) bool {
	var invalid x509.CertificateInvalidError
	return as[*tls.CertificateVerificationError](err) && errors.As(err, &invalid) &&
		invalid.Reason == x509.Expired
}

// transport reports whether the connection to the host failed. It does not test
// for net.Error, because errors of files implement that interface too.
func transport(err error) bool {
	return errors.Is(err, remote.ErrConnection) || errors.Is(err, client.ErrConnection) ||
		as[*url.Error](err) || as[*net.OpError](err) ||
		as[*net.DNSError](err) || as[tls.RecordHeaderError](err) ||
		as[*tls.CertificateVerificationError](err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}

// onChain reports whether a check against the chain failed.
func onChain(err error) bool {
	return slices.ContainsFunc([]error{
		chain.ErrNotAnchored, chain.ErrNotMinted, chain.ErrNotDataStore, chain.ErrUpdaterChanged,
		chain.ErrInvalidSpend, chain.ErrUnsupportedOp, chain.ErrUnresolvable, chain.ErrWritersUnknown,
		chain.ErrOldBlock, chain.ErrSourceInvalid, chain.ErrRollback, chain.ErrSourcesDisagree,
		chain.ErrStaleSource, chain.ErrMalformed, chain.ErrTooLarge,
	}, func(target error) bool { return errors.Is(err, target) })
}

// exitCode is the exit code of an error.
func exitCode(err error) int {
	for _, row := range exits {
		if row.match(err) {
			return row.exit
		}
	}
	return exitOther
}

// fail prints an error and, on a second line, its hint. It returns the exit
// code.
func (a *app) fail(err error) int {
	for _, row := range exits {
		if !row.match(err) {
			continue
		}
		message, hint := err.Error(), hintOf(err, row.hint)
		if a.json && a.out.err == nil {
			_ = a.object(struct {
				Error string `json:"error"`
				Code  string `json:"code"`
				Exit  int    `json:"exit"`
				Hint  string `json:"hint,omitempty"`

				Report *remote.Report `json:"report,omitempty"` // of clone and pull
			}{message, row.code, row.exit, hint, reportOf(err)})
			return row.exit
		}
		a.errMu.Lock()
		defer a.errMu.Unlock()
		fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, red, "digstore:"), oneline.Message(message))
		if hint != "" {
			fmt.Fprintf(a.err, "  %s\n", oneline.Message(hint))
		}
		return row.exit
	}
	return exitOther
}

// hintOf returns the hint that err carries, or else the one of the table.
func hintOf(err error, general string) string {
	var stopped *interrupted
	var late *timedOut
	var wrong *usageError
	var known *hinted
	var access *digstore.AccessError
	switch {
	case errors.As(err, &stopped):
		return stopped.resume
	case errors.As(err, &late):
		return late.resume
	case errors.As(err, &known):
		return known.hint
	case errors.As(err, &wrong):
		return wrong.hint
	case errors.As(err, &access):
		return fmt.Sprintf("check that no other user has changed anything, then run: %s; "+
			"or, if you trust the users who can write there, accept the folder with: digstore safe DIR",
			access.Fix)
	}
	return general
}
