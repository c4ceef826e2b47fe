package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// packages are those that users import.
var packages = []string{"auth", "connectpsp", "idempotency", "journal", "pix", "sandbox", "signing", "webhook"}

// consumer is a user's program that names everything the SDK exports, and pays against the sandbox.
func consumer(t *testing.T) []byte {
	t.Helper()
	var imports, names strings.Builder
	for _, name := range packages {
		fmt.Fprintf(&imports, "\t%q\n", "github.com/connectpsp/connectpsp-go/"+name)
		files, err := filepath.Glob(filepath.Join(root, name, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_windows.go") || strings.HasSuffix(file, "_other.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, declared := range parsed.Decls {
				writeNames(&names, name, declared)
			}
		}
	}
	text, err := os.ReadFile("testdata/consumer.go.txt")
	require.NoError(t, err)
	return []byte(strings.NewReplacer("IMPORTS", strings.TrimSpace(imports.String()), "NAMES", strings.TrimSpace(names.String())).Replace(string(text)))
}

// writeNames writes lines that use the exported names of a declaration.
func writeNames(out *strings.Builder, pkg string, declared ast.Decl) {
	switch declared := declared.(type) {
	case *ast.FuncDecl:
		switch {
		case !declared.Name.IsExported() || declared.Type.TypeParams != nil:
		case declared.Recv == nil:
			fmt.Fprintf(out, "\t_ = %s.%s\n", pkg, declared.Name.Name)
		default:
			receiver := declared.Recv.List[0].Type
			if pointer, isPointer := receiver.(*ast.StarExpr); isPointer {
				receiver = pointer.X
			}
			if named, isName := receiver.(*ast.Ident); isName && named.IsExported() {
				fmt.Fprintf(out, "\t_ = (*%s.%s).%s\n", pkg, named.Name, declared.Name.Name)
			}
		}
	case *ast.GenDecl:
		for _, spec := range declared.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() {
						fmt.Fprintf(out, "\t_ = %s.%s\n", pkg, name.Name)
					}
				}
			case *ast.TypeSpec:
				if !spec.Name.IsExported() || spec.TypeParams != nil {
					continue
				}
				fmt.Fprintf(out, "\t_ = new(%s.%s)\n", pkg, spec.Name.Name)
				if fields, isStruct := spec.Type.(*ast.StructType); isStruct {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							if name.IsExported() {
								fmt.Fprintf(out, "\t_ = new(%s.%s).%s\n", pkg, spec.Name.Name, name.Name)
							}
						}
					}
				}
			}
		}
	}
}
