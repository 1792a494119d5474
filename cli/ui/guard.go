package ui

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets a page load what this program serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm is the size of a form that is read, in bytes.
const maxForm = 4 << 10

// ServeHTTP lets in who knows the token, and has not been sent by another page.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.wg.Add(1)
	defer u.wg.Done()
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer") // the address has the token in it
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !u.knowsHost(r.Host) {
		http.Error(w, "s4 ui: not a name of this page (use the address that s4 ui has printed)", http.StatusMisdirectedRequest)
		return
	}
	token, _, inside := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if !same(token, u.token) {
		http.Error(w, "s4 ui: no token, or not this one (use the address that s4 ui has printed)", http.StatusForbidden)
		return
	}
	if !inside {
		http.Redirect(w, r, u.Path(), http.StatusSeeOther)
		return
	}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if u.origin.Check(r) != nil || !same(r.PostFormValue("csrf"), u.csrf) {
			http.Error(w, "s4 ui: the form is not from this page (load it again)", http.StatusForbidden)
			return
		}
	}
	u.routes.ServeHTTP(w, r)
}

// same compares in a time that does not tell how much of got is right.
func same(got, want string) bool { return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1 }

// knowsHost reports whether host, of a request, may be a name of this page. A page of
// someone else's can let its own name lead to this address (DNS rebinding), and would
// then be of one origin with this one; an address cannot be led elsewhere. The port may
// be another: that of a tunnel.
func (u *UI) knowsHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || u.opts.Host != "" && host == strings.ToLower(u.opts.Host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (u.opts.Exposed || addr.Unmap().IsLoopback())
}
