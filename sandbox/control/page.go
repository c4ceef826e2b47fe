package control

import (
	"bytes"
	"embed"
	"net/http"
	"time"
)

//go:embed page
var assets embed.FS

// pageResources returns the page at / and what it loads.
func pageResources() []resource {
	entries, err := assets.ReadDir("page")
	if err != nil {
		panic(err) // it is embedded
	}
	var resources []resource
	for _, entry := range entries {
		path := "/_sandbox/page/" + entry.Name()
		if entry.Name() == "index.html" {
			path = "/"
		}
		resources = append(resources, resource{http.MethodGet, path, serveAsset(entry.Name())})
	}
	return resources
}

func serveAsset(name string) http.HandlerFunc {
	data, err := assets.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	}
}
