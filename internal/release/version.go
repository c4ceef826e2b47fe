package main

import (
	"cmp"
	"fmt"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// version is a semantic version without suffix.
type version struct{ major, minor, patch uint }

// parseVersion reads v1.2.3, and nothing else.
func parseVersion(text string) (version, error) {
	var v version
	if _, err := fmt.Sscanf(text, "v%d.%d.%d", &v.major, &v.minor, &v.patch); err != nil || v.String() != text {
		return version{}, fmt.Errorf("%q is not a version such as v1.2.3", text)
	}
	return v, nil
}

func (v version) String() string { return fmt.Sprintf("v%d.%d.%d", v.major, v.minor, v.patch) }

func (v version) compare(other version) int {
	return cmp.Or(cmp.Compare(v.major, other.major), cmp.Compare(v.minor, other.minor), cmp.Compare(v.patch, other.patch))
}

// next returns the lowest version that may follow v after a change of a level. Before 1.0.0 a minor
// version may break.
func (v version) next(l contract.Level) version {
	switch {
	case l == contract.Breaking && v.major > 0:
		return version{v.major + 1, 0, 0}
	case l == contract.Breaking, l == contract.Additive && v.major > 0:
		return version{v.major, v.minor + 1, 0}
	default:
		return version{v.major, v.minor, v.patch + 1}
	}
}
