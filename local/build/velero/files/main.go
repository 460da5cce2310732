// An object store of Velero's that keeps backups as files: an object is a file below the folder that the configuration names.
// For clusters of tests, which have no other store.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
)

const (
	name = "dynamiq.local/files"
	root = "root"
)

func main() {
	framework.NewServer().RegisterObjectStore(name, func(logrus.FieldLogger) (any, error) { return &files{}, nil }).Serve()
}

type files struct{ root string }

var _ velero.ObjectStore = &files{}

// Init takes the folder that everything is in.
func (f *files) Init(config map[string]string) error {
	if err := framework.ValidateObjectStoreConfigKeys(config, root); err != nil {
		return err
	}
	if !filepath.IsAbs(config[root]) {
		return fmt.Errorf("config.%s is to be the absolute path of a folder", root)
	}
	f.root = config[root]
	return nil
}

// PutObject writes beside the file first: half an object is never seen.
func (f *files) PutObject(bucket, key string, body io.Reader) error {
	path, err := f.path(bucket, key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	unfinished, err := os.CreateTemp(filepath.Dir(path), ".unfinished-")
	if err != nil {
		return err
	}
	defer os.Remove(unfinished.Name())
	if _, err := io.Copy(unfinished, body); err != nil {
		unfinished.Close()
		return err
	}
	if err := unfinished.Close(); err != nil {
		return err
	}
	return os.Rename(unfinished.Name(), path)
}

func (f *files) ObjectExists(bucket, key string) (bool, error) {
	path, err := f.path(bucket, key)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *files) GetObject(bucket, key string) (io.ReadCloser, error) {
	path, err := f.path(bucket, key)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// ListCommonPrefixes gives the beginnings of keys up to the first delimiter after the prefix, each once.
func (f *files) ListCommonPrefixes(bucket, prefix, delimiter string) ([]string, error) {
	keys, err := f.ListObjects(bucket, prefix)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, key := range keys {
		if begin, _, more := strings.Cut(strings.TrimPrefix(key, prefix), delimiter); more {
			found[prefix+begin+delimiter] = true
		}
	}
	return sorted(found), nil
}

// ListObjects gives the keys that begin with the prefix; none where there is no such bucket yet.
func (f *files) ListObjects(bucket, prefix string) ([]string, error) {
	top, err := f.path(bucket, "")
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	err = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".unfinished-") {
			return err
		}
		inside, err := filepath.Rel(top, path)
		if key := filepath.ToSlash(inside); err == nil && strings.HasPrefix(key, prefix) {
			found[key] = true
		}
		return err
	})
	return sorted(found), err
}

func (f *files) DeleteObject(bucket, key string) error {
	path, err := f.path(bucket, key)
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// CreateSignedURL has nothing to give: nobody serves the files.
func (f *files) CreateSignedURL(_, _ string, _ time.Duration) (string, error) {
	return "", errors.New("a store of files has no URLs")
}

// path is that of an object's file, or of the bucket's folder. It never leads out of the bucket.
func (f *files) path(bucket, key string) (string, error) {
	for _, part := range append(strings.Split(key, "/"), bucket) {
		if part == ".." || strings.ContainsAny(part, "\\\x00") {
			return "", fmt.Errorf("%q in %q is no key", key, bucket)
		}
	}
	return filepath.Join(f.root, bucket, filepath.FromSlash(key)), nil
}

func sorted(found map[string]bool) []string {
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
