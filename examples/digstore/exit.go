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

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/plot"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/conform"
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
	exitInterrupted    = 130 // 128 + SIGINT, as shells say it
)

// exits is the one table of what an error means to a caller of the program:
// the first row that matches counts. hint is what to do where the command
// that failed does not know better.
var exits = []struct {
	match func(error) bool
	exit  int
	code  string
	hint  string
}{
	{as[*interrupted], exitInterrupted, "INTERRUPTED", ""},
	{as[*outputError], exitOther, "ERROR", "what was asked for may be done all the same: only the answer is lost"},
	{as[*usageError], exitUsage, "INVALID_ARGUMENT", ""},
	{is(digstore.ErrNoWorkspace), exitNoStore, "NO_STORE", "digstore init NAME makes a store here; -C DIR works in another folder"},
	{is(digstore.ErrOldLayout), exitOther, "ERROR", "digstore migrate changes it to the present layout"},
	{as[*digstore.AccessError], exitOther, "ERROR", ""}, // hintOf
	{as[*digstore.ContentRootError], exitOther, "ERROR", "choose another content root in workspace.toml"},
	{is(digstore.ErrIrregular), exitVerification, "VERIFICATION_FAILED", "do not use a workspace that you did not make; else move this aside"},
	{is(digstore.ErrLocked), exitLocked, "LOCKED", "wait until the other program is done and run this again"},
	{is(digstore.ErrNothingStaged), exitOther, "ERROR", "digstore add PATH... stages files"},
	{is(digstore.ErrUnchanged), exitOther, "ERROR", "digstore status shows what a commit would publish"},
	{as[*digstore.RecurringRootError], exitOther, "ERROR", "digstore commit --again makes it a generation of its own"},
	{is(digstore.ErrNoKey), exitOther, "ERROR", "bring the publisher key with: digstore key import FILE; who may write by the chain brings their own with --writer"},
	{as[*digstore.ChangingError], exitOther, "ERROR", "run it again when the program that writes the file is done, or name the file in .digignore"},
	{damagedNames, exitVerification, "VERIFICATION_FAILED", "ask the publisher for the output of digstore urn --all and give it with --names"},
	{as[*digstore.UnnamedError], exitOther, "ERROR", "ask the publisher for the output of digstore urn --all and give it with --names, or take what has a name with --partial"},
	{as[*digstore.UnsafeNamesError], exitOther, "ERROR", "--skip-unsafe leaves them out of a commit, --partial out of a checkout; read them with: digstore cat KEY -o FILE"},
	{as[*digstore.KeyNameError], exitOther, "ERROR", "read it with: digstore cat KEY -o FILE"},
	{as[*digstore.TooLargeError], exitOther, "ERROR", "publish less, or raise max_size in the store's config.toml"},
	{is(auth.ErrRevoked), exitVerification, "VERIFICATION_FAILED", "the publisher took this back; ask the publisher for what replaces it"},
	{is(digstore.ErrCorrupt), exitVerification, "VERIFICATION_FAILED", "restore the file from a backup, or clone the store again"},
	{as[*plot.FormatError], exitVerification, "VERIFICATION_FAILED", "digstore plot repair PLOT --from COPY repairs it from a copy of the same file; digstore plot salvage saves what is whole"},
	{is(plot.ErrMagic), exitUsage, "INVALID_ARGUMENT", "name a plot file; digstore plot list FOLDER lists the plots in a folder"},
	{is(capsule.ErrContentMismatch), exitVerification, "VERIFICATION_FAILED", "what the source gave is not the content of the capsule; name another one"},
	{is(capsule.ErrProof), exitVerification, "VERIFICATION_FAILED", "the answer does not prove what the challenge asks for"},
	{is(capsule.ErrChallenge), exitUsage, "INVALID_ARGUMENT", "a challenge is the JSON body of POST /validation/challenge"},
	{is(capsule.ErrManifest), exitVerification, "VERIFICATION_FAILED", "the manifest contradicts itself; get it from a place that you trust"},
	{is(plot.ErrLocked), exitLocked, "LOCKED", "wait until the other program is done and run this again"},
	{is(conform.ErrNonconforming), exitNonconforming, "NONCONFORMING", "the report names the sections of remote/PROTOCOL.md"},
	{is(chain.ErrUnavailable), exitNetwork, "NETWORK", "check the chain's source with digstore anchor show, or name another one with --chain"},
	{is(chain.ErrRateLimited), exitNetwork, "NETWORK", "wait, or name another source with --chain"},
	{is(chain.ErrStoreNotFound), exitVerification, "VERIFICATION_FAILED", "where the store is on no chain, say so with --chain none"},
	{is(chain.ErrMelted), exitVerification, "VERIFICATION_FAILED", "its owner has destroyed the store on the chain; --chain none takes it all the same"},
	{is(chain.ErrWrongNetwork), exitVerification, "VERIFICATION_FAILED", "name the network with --network, or another source with --chain"},
	{is(chain.ErrShallow), exitVerification, "VERIFICATION_FAILED", "wait for some more blocks"},
	{onChain, exitVerification, "VERIFICATION_FAILED", "nothing was taken; try another source with --chain"},
	{is(remote.ErrBadURL), exitUsage, "INVALID_ARGUMENT", "a locator is dig://HOST/ID, https://HOST/stores/ID, or http:// on loopback"},
	{is(remote.ErrInsecure), exitUsage, "INVALID_ARGUMENT", "use dig:// or https://; plain http:// is for loopback"},
	{is(remote.ErrNoLocalNode), exitNoLocalNode, "NO_LOCAL_NODE", "start a node here, or name one with --node URL"},
	{is(remote.ErrHubPublisherRequired), exitOther, "ERROR", "push to a host of your own, or use the hub's own tools"},
	{is(remote.ErrClockSkew), exitUnauthorized, "UNAUTHORIZED", "set this machine's clock"},
	{is(remote.ErrKeyChanged), exitVerification, "VERIFICATION_FAILED", "ask the publisher; where the store is on the chain, repeat with --chain; if the new key is right, with --accept-key KEY"},
	{is(remote.ErrUntrusted), exitVerification, "VERIFICATION_FAILED", "say what to believe with --publisher KEY or --root ROOT"},
	{is(remote.ErrRollback), exitVerification, "VERIFICATION_FAILED", "this host is behind or was tampered with; try another one, or take an earlier root that the publisher went back to with --accept-revert"},
	{is(remote.ErrForked), exitVerification, "VERIFICATION_FAILED", "the publisher has signed two histories: ask which one counts, and take it with --accept-head ROOT"},
	{is(remote.ErrDiverged), exitVerification, "VERIFICATION_FAILED", "this host holds another history of the store; try another one, or take it with --accept-head ROOT"},
	{is(remote.ErrNoChunkLengths), exitVerification, "VERIFICATION_FAILED", "digstore clone URL, then: digstore cat KEY"},
	{as[*remote.VerificationError], exitVerification, "VERIFICATION_FAILED", "nothing was taken from this host; try another one"},
	{status(401, 403), exitUnauthorized, "UNAUTHORIZED", "ask who runs the host to let you in"},
	{status(404), exitNotFound, "NOT_FOUND", "check the host and the store id; a first push needs the host's --allow"},
	{proxied, exitNetwork, "NETWORK", "the proxy in front of the host refused this; who runs it can raise its limit of body sizes"},
	{status(413), exitNetwork, "NETWORK", "the host takes no more; who runs it can raise its --max-module"},
	{status(409), exitNonFastForward, "NON_FAST_FORWARD", "the host has what you do not: digstore pull"},
	{status(400, 405, 415, 501), exitNetwork, "NETWORK", "the host does not understand this request; digstore version and who runs the host say which versions meet"},
	{status(421), exitNetwork, "NETWORK", "the host does not answer to this name; use the name that who runs it has given"},
	{status(422), exitNetwork, "NETWORK", "the host refuses what was sent, and will again; digstore verify --deep checks it here"},
	{status(507), exitNetwork, "NETWORK", "the host takes no more from you; who runs it can raise its --quota or --max-stores, or remove something"},
	{status(500), exitNetwork, "NETWORK", "the host has a fault of its own, which its log names; tell who runs it, or use another host"},
	{redirected, exitNetwork, "NETWORK", "no redirect is followed; name the host that it leads to"},
	{as[*remote.StatusError], exitNetwork, "NETWORK", "try again later, or another host"},
	{is(remote.ErrNonFastForward), exitNonFastForward, "NON_FAST_FORWARD", "the host has what you do not: digstore pull"},
	{is(module.ErrNotHead), exitNonFastForward, "NON_FAST_FORWARD", "somebody else was faster: digstore pull, then again"},
	{is(remote.ErrVerification), exitVerification, "VERIFICATION_FAILED", "nothing was taken from this host; try another one"},
	{is(module.ErrFormat), exitVerification, "VERIFICATION_FAILED", "this is not a module, or a damaged one"},
	{is(module.ErrVerify), exitVerification, "VERIFICATION_FAILED", "the content is not what was signed"},
	{is(urn.ErrSealed), exitVerification, "VERIFICATION_FAILED", "the content is damaged, or the store is private and its salt is not here"},
	{is(auth.ErrSignature), exitVerification, "VERIFICATION_FAILED", "the signature is not the publisher's"},
	{is(request.ErrUnauthenticated), exitUnauthorized, "UNAUTHORIZED", "check this machine's clock and digstore identity"},
	{is(auth.ErrForbidden), exitUnauthorized, "UNAUTHORIZED", "ask who runs the host to let you in"},
	{is(auth.ErrKeyFile), exitOther, "ERROR", "a key file is yours alone, and holds 32 bytes"},
	{is(remote.ErrTooLarge), exitNetwork, "NETWORK", "the limit is this program's own: --max-module SIZE takes longer modules on clone and pull"},
	{is(remote.ErrProtocol), exitNetwork, "NETWORK", "check the URL: something else answers there"},
	{is(remote.ErrTooSlow), exitNetwork, "NETWORK", "try another host, or wait for slower answers with --min-rate SIZE"},
	{hostname, exitNetwork, "NETWORK", "the certificate is for another host; check the host's name"},
	{expired, exitNetwork, "NETWORK", "check this machine's clock; if it is right, who runs the host has to renew the certificate"},
	{as[*tls.CertificateVerificationError], exitNetwork, "NETWORK", "if you know who signed the certificate, trust that authority with --ca FILE"},
	{transport, exitNetwork, "NETWORK", "check the host's name and the network, and run it again"},
	{is(fs.ErrInvalid), exitUsage, "INVALID_ARGUMENT", "choose another name"},
	{is(fs.ErrExist), exitUsage, "INVALID_ARGUMENT", "choose a name that is free"},
	{is(digstore.ErrRemoved), exitNotFound, "NOT_FOUND", "another program removed the store meanwhile"},
	{is(fs.ErrNotExist), exitNotFound, "NOT_FOUND", "check the name; digstore log and digstore stores list what is here"},
	{func(error) bool { return true }, exitOther, "ERROR", "nothing was left half done: mend this and run it again"},
}

// damagedNames matches names that are missing because the file that had them is damaged.
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

// proxied reports whether a proxy refused what it was sent because of its size.
func proxied(err error) bool {
	var s *remote.StatusError
	return errors.As(err, &s) && s.Proxy && s.Code == http.StatusRequestEntityTooLarge
}

// redirected reports whether a host sent on to another address.
func redirected(err error) bool { return errors.Is(err, remote.ErrRedirect) }

// hostname reports whether a certificate is for other hosts.
func hostname(err error) bool {
	return as[*tls.CertificateVerificationError](err) && as[x509.HostnameError](err)
}

// expired reports whether a certificate is not valid at this time.
func expired(err error) bool {
	var invalid x509.CertificateInvalidError
	return as[*tls.CertificateVerificationError](err) && errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// transport reports whether the way to the host broke. A net.Error will not
// do: errors of files are such too.
func transport(err error) bool {
	return errors.Is(err, remote.ErrConnection) || as[*url.Error](err) || as[*net.OpError](err) || as[*net.DNSError](err) || as[tls.RecordHeaderError](err) ||
		as[*tls.CertificateVerificationError](err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}

// onChain reports whether the chain, or what reads it, refused.
func onChain(err error) bool {
	return slices.ContainsFunc([]error{
		chain.ErrNotAnchored, chain.ErrNotMinted, chain.ErrNotDataStore, chain.ErrUpdaterChanged, chain.ErrInvalidSpend, chain.ErrUnsupportedOp,
		chain.ErrUnresolvable, chain.ErrWritersUnknown, chain.ErrOldBlock, chain.ErrSourceInvalid, chain.ErrRollback,
		chain.ErrSourcesDisagree, chain.ErrStaleSource, chain.ErrMalformed, chain.ErrTooLarge,
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

// fail reports an error, one line for what happened and one for what to do,
// and returns the exit code.
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
		fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, red, "digstore:"), oneLine(message))
		if hint != "" {
			fmt.Fprintf(a.err, "  %s\n", oneLine(hint))
		}
		return row.exit
	}
	return exitOther
}

// hintOf is what to do about err: what the command knew, else the table's.
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
		return fmt.Sprintf("check that no other user has changed anything, then run: %s; digstore safe DIR accepts a folder "+
			"whose users you trust with all that digstore does there", access.Fix)
	}
	return general
}
