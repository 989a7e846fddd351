package conform

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// JUnit's XML, as far as CI systems read it.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Hostname  string      `xml:"hostname,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as JUnit XML: a suite for each group of checks, a failure for each
// requirement that is not met. Warnings are passes with the finding in system-out.
func (r *Report) WriteJUnit(w io.Writer) error {
	var all junitSuites
	for _, c := range r.Results {
		group, name, _ := strings.Cut(c.Check, "/")
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != group {
			all.Suites = append(all.Suites, junitSuite{Name: group, Hostname: r.Origin,
				Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05")})
		}
		suite := &all.Suites[len(all.Suites)-1]
		tc := junitCase{Class: "dig." + group, Name: name + " (" + c.Section + ")", Time: seconds(c.Took)}
		text := fmt.Sprintf("wanted: %s\nfound: %s", c.Wanted, c.Found)
		if c.Known != "" {
			text += "\nknown: " + c.Known
		}
		switch c.Verdict {
		case Fail:
			tc.Failure = &junitMessage{Message: c.Found, Type: string(c.Level), Text: text}
			suite.Failures++
		case Warn:
			tc.Out = "warning: " + text
		case Skip:
			tc.Skipped = &junitMessage{Message: c.Reason}
			suite.Skipped++
		}
		suite.Tests++
		suite.Cases = append(suite.Cases, tc)
	}
	for i := range all.Suites {
		var took time.Duration
		for _, c := range r.Results {
			if group, _, _ := strings.Cut(c.Check, "/"); group == all.Suites[i].Name {
				took += c.Took
			}
		}
		all.Suites[i].Time = seconds(took)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
