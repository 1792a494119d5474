package ui

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nathants/s4"
)

const (
	maxNames  = 1000            // of a directory that a page lists
	sumTime   = 2 * time.Second // for the sizes of directories, which take a look at every key
	sumAtOnce = 4               // buckets
)

type browsePage struct {
	Base string
	Dir  string  // without the scheme: bucket/a/, or empty for the buckets
	Up   []crumb // the directories that it is in, and itself
	List []name
	Cut  bool // there are more
	Err  error
}

// crumb is a directory that leads up.
type crumb struct{ Name, Dir string }

// name is a bucket, directory or key of a listing.
type name struct {
	s4.Entry
	Shown string
	Link  string    // the directory to look at, or empty
	Sum   *s4.Usage // of a directory; nil if it was not found in time
}

// browse lists the buckets, or a directory of keys.
func (u *UI) browse(w http.ResponseWriter, r *http.Request) {
	dir := strings.TrimPrefix(r.URL.Query().Get("dir"), s4.Scheme)
	if dir != "" && !strings.HasSuffix(dir, "/") {
		dir += "/"
	}
	p := browsePage{Base: u.Path(), Dir: dir}
	for i := range dir {
		if dir[i] == '/' {
			p.Up = append(p.Up, crumb{dir[strings.LastIndexByte(dir[:i], '/')+1 : i], dir[:i+1]})
		}
	}
	var entries iter.Seq2[s4.Entry, error]
	if dir == "" {
		entries = u.client.Buckets(r.Context())
	} else {
		entries = u.client.List(r.Context(), s4.Scheme+dir, false)
	}
	for e, err := range entries {
		if err != nil {
			p.Err = err
			break
		}
		if len(p.List) == maxNames {
			p.Cut = true
			break
		}
		n := name{Entry: e, Shown: e.Name}
		switch {
		case dir == "":
			n.Link = strings.TrimSuffix(e.Name, "/") + "/"
		case e.Dir:
			n.Link, n.Shown = e.Name, strings.TrimPrefix(e.Name, dir)
		default:
			n.Shown = strings.TrimPrefix(e.Name, dir)
		}
		p.List = append(p.List, n)
	}
	u.sum(r.Context(), &p)
	title := "Buckets"
	if dir != "" {
		title = s4.Scheme + dir
	}
	u.write(w, http.StatusOK, "browse", page{Title: title, Body: p})
}

// sum adds up the directories of a listing, as many as it can in sumTime.
func (u *UI) sum(ctx context.Context, p *browsePage) {
	ctx, cancel := context.WithTimeout(ctx, sumTime)
	defer cancel()
	if p.Dir == "" {
		var wg sync.WaitGroup
		slots := make(chan struct{}, sumAtOnce)
		for i := range p.List {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				servers, err := u.client.Usage(ctx, s4.Scheme+p.List[i].Link, nil, nil)
				if err != nil {
					return
				}
				sum := new(s4.Usage)
				for _, s := range servers {
					sum.Keys += s.Keys
					sum.Bytes += s.Bytes
				}
				p.List[i].Sum = sum
			})
		}
		wg.Wait()
		return
	}
	at := make(map[string]int)
	for i, n := range p.List {
		if n.Dir {
			at[n.Name] = i
		}
	}
	if len(at) == 0 {
		return
	}
	// What is counted until time is up is shown.
	_, _ = u.client.Usage(ctx, s4.Scheme+p.Dir, nil, func(dir string, sum s4.Usage) error {
		if i, ok := at[dir]; ok {
			p.List[i].Sum = &sum
		}
		return nil
	})
}
