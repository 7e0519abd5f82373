package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"fairlead/vm/record"
)

// versions are the versions of NFS that are measured, at the same time.
var versions = []string{"v3", "v4.1"}

// job is an application that runs on one version of NFS.
type job struct {
	kind    string // the mode of probe: application or opener
	version string
}

// The kinds of applications.
const (
	application = "application"
	opener      = "opener"
)

// record names the file of what the application saw.
func (j job) record() string { return "/run/record." + j.kind + "." + j.version }

// mount mounts both versions through the virtual IP and starts an application on
// each. A v3 mount names the ports, as one does when no port mapper is balanced.
func (s *site) mount(ctx context.Context) error {
	const export = "probe in client mount.nfs 192.168.10.50:%s /mnt/%s -o hard,proto=tcp,%s"
	for _, c := range []string{
		"mkdir -p /mnt/v3 /mnt/v4.1",
		fmt.Sprintf(export, "/export/v3", "v3", "vers=3,nolock,port=2049,mountproto=tcp,mountport=20048"),
		fmt.Sprintf(export, "/v4.1", "v4.1", "vers=4.1"),
	} {
		if out, err := s.run(ctx, "%s", c); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	s.delays = 0
	return s.begin(ctx, application)
}

// begin starts an application of a kind on both versions.
func (s *site) begin(ctx context.Context, kind string) error {
	for _, v := range versions {
		j := job{kind: kind, version: v}
		const start = "probe in client probe %s %s /mnt/%s >>/run/application.%s 2>&1 & jobs+=($!)"
		if _, err := s.run(ctx, start, kind, j.record(), v, v); err != nil {
			return err
		}
		s.jobs = append(s.jobs, j)
		if _, err := s.run(ctx, "await 20 test -s %s", j.record()); err != nil {
			words, _ := s.run(ctx, "cat /run/application.*") // for people; what failed is known
			return fmt.Errorf("wait for the %s on %s: %w\n%s", kind, v, err, words)
		}
	}
	return nil
}

// record reads what an application saw until now.
func (s *site) record(ctx context.Context, j job) (r record.Record, err error) {
	text, err := s.run(ctx, "cat %s", j.record())
	if err == nil {
		err = json.Unmarshal([]byte(text), &r)
	}
	if err != nil {
		return r, fmt.Errorf("read what the %s on %s saw: %w", j.kind, j.version, err)
	}
	return r, nil
}

// unmount ends the applications, which compare everything once more, and unmounts.
// It returns what they saw, and compares their files with the servers' disk.
func (s *site) unmount(ctx context.Context) (map[job]record.Record, error) {
	if _, err := s.run(ctx, "kill ${jobs[*]}"); err != nil {
		return nil, err
	}
	seen := map[job]record.Record{}
	for _, j := range s.jobs {
		err := await(ctx, commandTime, "the "+j.kind+" on "+j.version+" has compared its files", func() (bool, error) {
			r, err := s.record(ctx, j)
			seen[j] = r
			return r.Ended(), err
		})
		if err != nil {
			return nil, err
		}
		if err := s.compare(ctx, j.version, seen[j].Sums); err != nil {
			return nil, fmt.Errorf("%w; %d of its calls failed: %.200q", err, len(seen[j].Errors), strings.Join(seen[j].Errors, "; "))
		}
	}
	s.jobs = nil
	_, err := s.run(ctx, "umount /mnt/v3 && umount /mnt/v4.1 && rm /run/record.* && jobs=()")
	return seen, err
}

// compare compares files on the servers' disk with the sums that they must have.
func (s *site) compare(ctx context.Context, version string, sums map[string]string) error {
	for name, sum := range sums {
		out, err := s.run(ctx, "sha256sum /export/%s/%s", version, name)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(out, sum) {
			return fmt.Errorf("%s on %s is not what the application wrote: its SHA-256 is %.64s, want %s", name, version, out, sum)
		}
	}
	return nil
}
