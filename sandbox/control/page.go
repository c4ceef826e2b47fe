package control

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed page
var assets embed.FS

// addPage serves the page at /, and what it loads.
func addPage(mux *http.ServeMux) {
	files, err := fs.Sub(assets, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	mux.Handle("GET /{$}", http.FileServerFS(files))
	mux.Handle("GET /_sandbox/page/", http.StripPrefix("/_sandbox/page", http.FileServerFS(files)))
}
