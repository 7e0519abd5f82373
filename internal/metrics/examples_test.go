package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	dashboardFile = "../../examples/grafana/fairlead.json"
	alertsFile    = "../../examples/prometheus/alerts.yml"
)

// promtool runs Prometheus' own tool. A test without it would prove nothing.
func promtool(t *testing.T, input string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("this test needs promtool, of Debian's package prometheus: apt-get install -y --no-install-recommends prometheus")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// known are the names of all series, those of histograms with their endings.
func known(t *testing.T) map[string]bool {
	all := map[string]bool{"up": true}
	for _, row := range regexp.MustCompile(`(?m)^([a-z_]+)[{ ]`).FindAllStringSubmatch(scrape(t, busy(), nfs()), -1) {
		all[row[1]] = true
	}
	return all
}

// unknown are the metrics of an expression that there are not.
func unknown(names map[string]bool, expr string) []string {
	var found []string
	for _, name := range regexp.MustCompile(`\b(?:fairlead|process|go)_[a-z_]+`).FindAllString(expr, -1) {
		if !names[name] {
			found = append(found, name)
		}
	}
	return found
}

// dashboard is what the tests look at of the dashboard.
type dashboard struct {
	Panels []struct {
		Title, Type, Description string
		Datasource               struct{ UID string }
		Targets                  []struct{ Expr string }
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readText(t, dashboardFile)), &d); err != nil {
		t.Fatalf("read %s: %v", dashboardFile, err)
	}
	return d
}

// expressions are the dashboard's, by their panel.
func (d dashboard) expressions() map[string]string {
	all := map[string]string{}
	for _, p := range d.Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("%s %d", p.Title, i)] = target.Expr
		}
	}
	for _, a := range d.Annotations.List {
		all["annotation "+a.Name] = a.Expr
	}
	return all
}

func TestDashboard(t *testing.T) {
	d, names := readDashboard(t), known(t)
	var rules strings.Builder // the way to let promtool parse them
	rules.WriteString("groups: [{name: dashboard, rules: [")
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$director", ".*")
	for where, expr := range d.expressions() {
		if missing := unknown(names, expr); len(missing) > 0 {
			t.Errorf("%s: there is no %s", where, missing)
		}
		quoted, _ := json.Marshal(fill.Replace(expr))
		fmt.Fprintf(&rules, "{record: 'panel:%d', expr: %s},\n", rules.Len(), quoted)
	}
	for _, v := range d.Templating.List {
		if missing := unknown(names, v.Definition); len(missing) > 0 {
			t.Errorf("variable %s: there is no %s", v.Name, missing)
		}
	}
	rules.WriteString("]}]\n")
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
	for _, p := range d.Panels {
		if p.Type != "row" && p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %s does not use the variable of the data source", p.Title)
		}
	}
	if len(d.Panels) < 20 || d.Templating.List[0].Type != "datasource" || len(d.Annotations.List) == 0 {
		t.Errorf("%d panels, variables %+v, annotations %+v", len(d.Panels), d.Templating.List, d.Annotations.List)
	}
}

// TestAlerts runs the alerts' own tests, and holds the alerts to the metrics, to
// those tests and to the guide.
func TestAlerts(t *testing.T) {
	text := readText(t, alertsFile)
	promtool(t, "", "check", "rules", alertsFile)
	promtool(t, "", "test", "rules", "../../examples/prometheus/alerts_test.yml")
	if missing := unknown(known(t), text); len(missing) > 0 {
		t.Errorf("there is no %s", missing)
	}
	tests, guide := readText(t, "../../examples/prometheus/alerts_test.yml"), readText(t, "../../docs/how-to/metrics.md")
	alerts := regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(text, -1)
	parts := regexp.MustCompile(`(?m)^      - alert: \w+$`).Split(text, -1)[1:]
	if len(alerts) < 12 {
		t.Errorf("only %d alerts were found", len(alerts))
	}
	for i, a := range alerts {
		for _, part := range []string{"severity: ", "summary: ", "description: "} {
			if !strings.Contains(parts[i], part) {
				t.Errorf("%s has no %s", a[1], part)
			}
		}
		if !strings.Contains(tests, a[1]) {
			t.Errorf("no test lets %s fire", a[1])
		}
		if !strings.Contains(guide, "| `"+a[1]+"` |") {
			t.Errorf("docs/how-to/metrics.md lacks %s", a[1])
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Fairlead\\w+)` \\|").FindAllStringSubmatch(guide, -1) {
		if !slices.ContainsFunc(alerts, func(a []string) bool { return a[1] == row[1] }) {
			t.Errorf("docs/how-to/metrics.md has %s, which there is not", row[1])
		}
	}
}

// TestScrapeConfig lets promtool read the example as a whole configuration. The
// token's file is not here.
func TestScrapeConfig(t *testing.T) {
	text := strings.Replace(readText(t, "../../examples/prometheus/scrape.yml"), "/etc/prometheus/fairlead.token", "token", 1)
	dir := t.TempDir()
	for name, content := range map[string]string{"prometheus.yml": text, "token": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "", "check", "config", filepath.Join(dir, "prometheus.yml"))
}
