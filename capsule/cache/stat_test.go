package cache_test

import (
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
)

// Absence is remembered for five seconds, or until the cache is notified.
func TestAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(source)
		other := new(source).add(t, 2, 1, 1000)
		c := newCache(t, s, nil)
		missing := func(want int) {
			t.Helper()
			if _, _, err := c.Get(t.Context(), other.Ref(0), ""); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v", err)
			}
			if s.stats != want {
				t.Errorf("source was asked %d times, want %d", s.stats, want)
			}
		}
		missing(1)
		missing(1)
		time.Sleep(5*time.Second - time.Nanosecond)
		missing(1)
		time.Sleep(time.Nanosecond)
		missing(2)
		s.add(t, 2, 1, 1000)
		missing(2)
		c.Forget(other.Store)
		get(t, c, other.Ref(0), content(2, 0, 1000))
		third := new(source).add(t, 3, 1, 1000)
		if _, err := c.Stat(t.Context(), third.Ref(0)); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		s.add(t, 3, 1, 1000)
		if err := c.Put(third.Ref(0), third.Capsules[0], content(3, 0, 1000)); err != nil {
			t.Error(err)
		}
		if hit := get(t, c, third.Ref(0), content(3, 0, 1000)); hit != cache.L2Hit {
			t.Errorf("after Put: %v", hit)
		}
	})
}

// The head is asked for each time; a generation is not.
func TestDescriptors(t *testing.T) {
	s := new(source)
	old := s.add(t, 1, 1, 1000)
	c := newCache(t, s, nil)
	head := capsule.Ref{Store: old.Store}
	for range 2 {
		if d, err := c.Stat(t.Context(), head); err != nil || d != old.Capsules[0] {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err := c.Stat(t.Context(), old.Ref(0)); err != nil || d != old.Capsules[0] {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if s.stats != 3 {
		t.Errorf("source was asked %d times, want 3", s.stats)
	}
	newer := s.add(t, 1, 1, 2000)
	if d, err := c.Stat(t.Context(), head); err != nil || d != newer.Capsules[0] {
		t.Errorf("the new head: %+v, %v", d, err)
	}
}

// What the source cannot say now is an error, and is asked again.
func TestStatFails(t *testing.T) {
	s, m, c := setUp(t, 1, nil)
	s.statErr = fs.ErrPermission
	if _, _, err := c.Get(t.Context(), m.Ref(0), ""); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("get: %v", err)
	}
	if _, err := c.Pin(t.Context(), m.Ref(0)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("pin: %v", err)
	}
	s.statErr = nil
	wantHits(t, c, m, 1000, "0:disk_read")
}
