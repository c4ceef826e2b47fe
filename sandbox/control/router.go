package control

import (
	"net/http"
	"net/url"
	"strings"
)

// resource is what a method of a path does. The path may have one {id}.
type resource struct {
	method, path string
	serve        http.HandlerFunc
}

// resources returns all that the handler serves beside the gateway.
func (h *handler) resources() []resource {
	ready := func(http.ResponseWriter, *http.Request) {}
	all := []resource{
		{http.MethodGet, "/healthz", ready},
		{http.MethodGet, "/readyz", ready},
		{http.MethodGet, "/_sandbox/openapi.json", serveDescription},
		{http.MethodGet, prefix + "/events", h.serveEvents},
	}
	for _, route := range routes {
		all = append(all, resource{route.method, prefix + route.path, route.handler(h.gateway)})
	}
	return append(all, pageResources()...)
}

// serveOwn serves the resource of a path. [http.ServeMux] would redirect a path such as
// /cash-ins//pay, and so turn a mistake into another one.
func (h *handler) serveOwn(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, resource := range h.own {
		id, matches := match(resource.path, r.URL.EscapedPath())
		switch {
		case !matches:
		case r.Method == resource.method, r.Method == http.MethodHead && resource.method == http.MethodGet:
			r.SetPathValue("id", id)
			resource.serve(w, r)
			return
		case resource.method == http.MethodGet:
			allowed = append(allowed, http.MethodGet, http.MethodHead)
		default:
			allowed = append(allowed, resource.method)
		}
	}
	if len(allowed) == 0 {
		respond(w, http.StatusNotFound, problem{"there is no such resource: /_sandbox/openapi.json lists all of them"})
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	respond(w, http.StatusMethodNotAllowed, problem{"use " + strings.Join(allowed, " or ") + " for this resource"})
}

// match matches an escaped path against a pattern, and returns the id. An id is not empty, and may
// have escaped slashes.
func match(pattern, path string) (id string, matches bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range got {
		if want[i] == "{id}" {
			var err error
			id, err = url.PathUnescape(segment)
			if err != nil || id == "" {
				return "", false
			}
		} else if want[i] != segment {
			return "", false
		}
	}
	return id, true
}
