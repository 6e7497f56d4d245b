package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The policy that run and demo apply, by file and by name.
const (
	sampleFile      = "config/samples/per-client.yaml"
	sampleNamespace = "shop"
	sampleName      = "storefront"
	sampleDomain    = "storefront"
)

// whole is the whole product on this machine: control plane, manager, pool.
type whole struct {
	cluster *cluster
	manager *process
	pool    []*enforcer
}

// startWhole starts everything, applies the sample and waits until it is Ready.
func (s *stage) startWhole() (*whole, error) {
	c, err := s.startCluster()
	if err != nil {
		return nil, err
	}
	enforcerConfig, err := c.serviceAccount("sluice-enforcer")
	if err != nil {
		return nil, err
	}
	pool, err := s.startPool(func(name string) []string {
		return []string{
			"--kubeconfig", enforcerConfig, "--pool-namespace", namespace, "--pool-name", "default",
			"--journal", filepath.Join(s.dir, name+".journal"),
		}
	})
	if err != nil {
		return nil, err
	}
	manager, err := s.startManager(c, pool)
	if err != nil {
		return nil, err
	}
	if err := s.awaitPool(pool); err != nil {
		return nil, err
	}
	if out, err := c.run("", "apply", "-f", sampleFile); err != nil {
		return nil, fmt.Errorf("kubectl apply -f %s: %w\n%s", sampleFile, err, out)
	}
	w := &whole{cluster: c, manager: manager, pool: pool}
	if err := w.awaitReady(); err != nil {
		return nil, err
	}
	s.say("%s applied and Ready: every enforcer runs it", sampleFile)
	return w, nil
}

func (s *stage) startManager(c *cluster, pool []*enforcer) (*process, error) {
	config, err := c.serviceAccount("sluice-manager")
	if err != nil {
		return nil, err
	}
	metrics, err := s.address(41)
	if err != nil {
		return nil, err
	}
	health, err := s.address(42)
	if err != nil {
		return nil, err
	}
	admins := strings.Join(each(pool, func(e *enforcer) string { return e.admin }), ",")
	return s.start("manager", "manager",
		"--kubeconfig", config, "--namespace", namespace, "--enforcers", admins,
		"--metrics-listen", metrics, "--health-listen", health, "--leader-elect=false")
}

// awaitReady waits as a user would.
func (w *whole) awaitReady() error {
	out, err := w.cluster.run("", "wait", "--for=condition=Ready", "rlp/"+sampleName, "-n", sampleNamespace, "--timeout=30s")
	if err != nil {
		return fmt.Errorf("%s is not Ready: %w\n%s", sampleName, err, out)
	}
	return nil
}

// run stays in the foreground until Ctrl-C, and keeps the manager and the
// enforcers up: whoever wants to see what happens without one may kill it.
func run(s *stage) error {
	w, err := s.startWhole()
	if err != nil {
		return err
	}
	if err := printGuide(s, w); err != nil {
		return err
	}
	s.keepUp(append(processes(w.pool), w.manager))
	fmt.Println("\nStopping.")
	return nil
}

const guide = `
Everything runs on this machine. In another terminal:

  cd {root}
  export KUBECONFIG={kubeconfig} PATH={root}/bin:{kubectl}:$PATH

  # The policy, and what its status says:
  kubectl get rlp -A
  kubectl describe rlp {policy} -n {namespace}

  # One client asks three enforcers in turn; together they admit what one limiter would:
  for i in $(seq 8); do for enforcer in {enforcers}; do
    curl -s -o /dev/null -w "%{http_code} from $enforcer\n" -H 'X-Api-Key: alice' http://$enforcer/v1/auth/{domain}
  done; done

  # Which limits apply to a request, and what a client has left. In a cluster there are pods
  # to ask; here one enforcer is named:
  kubectl sluice explain {policy} -n {namespace} -H 'X-Api-Key: alice' --enforcer http://{admin}
  kubectl sluice keys {policy} per-client -n {namespace} --key alice --enforcer http://{admin}

  # Change the rate, and see it enforced everywhere:
  sed 's/requests: 10/requests: 3/; s/burst: 10/burst: 3/' {sample} | kubectl apply -f -
  kubectl get rlp {policy} -n {namespace} -w

  # A mistake is refused, with what to write instead; one in an expression is told in the
  # status, and the last good version stays in force:
  sed 's/requests: 10/requests: -1/' {sample} | kubectl apply -f -
  sed 's/headers/hedaers/' {sample} | kubectl apply -f -
  kubectl get rlp {policy} -n {namespace} -o wide
  kubectl apply -f {sample} && kubectl wait --for=condition=Ready rlp/{policy} -n {namespace}

  # Decisions go on without the manager, and without an enforcer; each is back in {pause}:
  kill -9 $(cat {dir}/manager.pid)
  kill -9 $(cat {dir}/enforcer-2.pid)

Logs are in {dir}. Ctrl-C stops all of it.
`

func printGuide(s *stage, w *whole) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	fmt.Print(strings.NewReplacer(
		"{root}", root,
		"{kubeconfig}", w.cluster.admin,
		"{kubectl}", filepath.Dir(w.cluster.kubectl),
		"{policy}", sampleName,
		"{namespace}", sampleNamespace,
		"{domain}", sampleDomain,
		"{sample}", sampleFile,
		"{enforcers}", strings.Join(each(w.pool, func(e *enforcer) string { return e.http }), " "),
		"{admin}", w.pool[0].admin,
		"{pause}", comeBack.String(),
		"{dir}", s.dir,
	).Replace(guide))
	return nil
}

// standalone runs the same pool from the sample files, without Kubernetes.
func standalone(s *stage) error {
	pool, err := s.startPool(func(string) []string { return []string{"--policies", "config/samples"} })
	if err != nil {
		return err
	}
	if err := s.awaitPool(pool); err != nil {
		return err
	}
	fmt.Printf(`
Three enforcers share the limits of config/samples. In another terminal:

  for i in $(seq 8); do for enforcer in %s; do
    curl -s -o /dev/null -w "%%{http_code} from $enforcer\n" -H 'X-Api-Key: alice' http://$enforcer/v1/auth/%s
  done; done

Edit a file in config/samples and all three follow. Logs are in %s. Ctrl-C stops them.
`, strings.Join(each(pool, func(e *enforcer) string { return e.http }), " "), sampleDomain, s.dir)
	s.keepUp(processes(pool))
	return nil
}

// awaitGeneration waits until every enforcer says that it runs a generation of
// the sample, and returns how long that took.
func (s *stage) awaitGeneration(pool []*enforcer, want int64, within time.Duration) (time.Duration, error) {
	return s.eventually(fmt.Sprintf("generation %d on every enforcer", want), within, func() error {
		for _, e := range pool {
			got, err := e.generation(sampleNamespace, sampleName)
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("%s runs generation %d", e.name, got)
			}
		}
		return nil
	})
}
