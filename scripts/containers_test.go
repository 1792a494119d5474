package scripts_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/nathants/s4"
)

// documents returns the documents of a YAML file in this directory.
func documents(t *testing.T, name string) []yaml.Node {
	t.Helper()
	b, err := os.ReadFile(script(name))
	if err != nil {
		t.Fatal(err)
	}
	var list []yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, n)
	}
}

// decode decodes a document. A field that into does not have is an error.
func decode(t *testing.T, n *yaml.Node, into any) {
	t.Helper()
	b, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// wantCluster checks a cluster file: server i is host(i) and serverPort.
func wantCluster(t *testing.T, text string, n int, host func(i int) string) {
	t.Helper()
	c, err := s4.ParseCluster(strings.NewReader(text), "s4.conf")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Servers) != n {
		t.Errorf("%d servers in the cluster file, want %d", len(c.Servers), n)
	}
	for i, s := range c.Servers {
		if want := host(i) + ":" + serverPort; s.String() != want {
			t.Errorf("server %d is %s, want %s", i, s, want)
		}
	}
}

// wantArgs checks the flags of a server in a container.
func wantArgs(t *testing.T, args []string, index string) {
	t.Helper()
	wantFlags(t, args)
	for flag, want := range map[string]string{"--index": index, "--listen": "0.0.0.0:" + serverPort, "--http": "0.0.0.0:" + httpPort} {
		if i := slices.Index(args, flag); i < 0 || i+1 == len(args) || args[i+1] != want {
			t.Errorf("%q has no %s %s", args, flag, want)
		}
	}
}

// The fields that compose.yaml may use, as the Compose specification has them.
type (
	compose struct {
		Name     string
		XServer  composeService `yaml:"x-server"`
		Services map[string]composeService
		Configs  map[string]struct{ Content string }
		Secrets  map[string]struct{ File string }
		Volumes  map[string]*struct{}
	}
	composeService struct {
		Image           string
		Build           struct{ Context string }
		Hostname        string
		Command         []string
		Environment     map[string]string
		Configs         []struct{ Source, Target string }
		Secrets         []string
		Volumes         []string
		CapDrop         []string `yaml:"cap_drop"`
		SecurityOpt     []string `yaml:"security_opt"`
		Ulimits         map[string]int
		StopGracePeriod string `yaml:"stop_grace_period"`
		Restart         string
	}
)

func TestCompose(t *testing.T) {
	docs := documents(t, "compose.yaml")
	if len(docs) != 1 {
		t.Fatalf("%d documents", len(docs))
	}
	var c compose
	decode(t, &docs[0], &c)
	if len(c.Services) != 3 || len(c.Volumes) != 3 {
		t.Errorf("%d services, %d volumes", len(c.Services), len(c.Volumes))
	}
	wantCluster(t, c.Configs["cluster"].Content, 3, func(i int) string { return fmt.Sprintf("s4-%d", i) })
	for i := range 3 {
		name := fmt.Sprintf("s4-%d", i)
		s, ok := c.Services[name]
		if !ok || s.Hostname != name { // the image's health check goes by it
			t.Errorf("service %s has host name %q", name, s.Hostname)
		}
		wantArgs(t, s.Command, fmt.Sprint(i))
		if _, err := os.Stat(script(filepath.Join(s.Build.Context, "Dockerfile"))); err != nil {
			t.Error(err)
		}
		volume, at, _ := strings.Cut(s.Volumes[0], ":")
		if _, ok := c.Volumes[volume]; !ok || at != "/data" || volume != fmt.Sprintf("data-%d", i) {
			t.Errorf("%s has volume %s", name, s.Volumes[0])
		}
		if cfg := s.Configs[0]; c.Configs[cfg.Source].Content == "" || cfg.Target != confPath {
			t.Errorf("%s has config %v", name, cfg)
		}
		if _, ok := c.Secrets[s.Secrets[0]]; !ok || s.Environment["S4_SECRET_FILE"] != "/run/secrets/"+s.Secrets[0] {
			t.Errorf("%s has secret %s and environment %v", name, s.Secrets[0], s.Environment)
		}
	}
}

// The fields that k8s.yaml may use, as the Kubernetes API has them.
type (
	meta struct {
		Name                string
		Labels, Annotations map[string]string
	}
	object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   meta
	}
	configMap struct {
		object `yaml:",inline"`
		Data   map[string]string
	}
	service struct {
		object `yaml:",inline"`
		Spec   struct {
			ClusterIP                string `yaml:"clusterIP"`
			PublishNotReadyAddresses bool   `yaml:"publishNotReadyAddresses"`
			Selector                 map[string]string
			Ports                    []struct {
				Name       string
				Port       int
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	storageClass struct {
		object            `yaml:",inline"`
		Provisioner       string
		VolumeBindingMode string `yaml:"volumeBindingMode"`
	}
	labelSelector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	statefulSet struct {
		object `yaml:",inline"`
		Spec   struct {
			ServiceName         string `yaml:"serviceName"`
			Replicas            int
			PodManagementPolicy string `yaml:"podManagementPolicy"`
			Selector            labelSelector
			Template            struct {
				Metadata meta
				Spec     podSpec
			}
			VolumeClaimTemplates []struct {
				Metadata meta
				Spec     struct {
					StorageClassName string   `yaml:"storageClassName"`
					AccessModes      []string `yaml:"accessModes"`
					Resources        struct{ Requests map[string]string }
				}
			} `yaml:"volumeClaimTemplates"`
		}
	}
	podSpec struct {
		AutomountServiceAccountToken  *bool `yaml:"automountServiceAccountToken"`
		TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               struct {
			RunAsNonRoot        bool                  `yaml:"runAsNonRoot"`
			RunAsUser           int                   `yaml:"runAsUser"`
			RunAsGroup          int                   `yaml:"runAsGroup"`
			FSGroup             int                   `yaml:"fsGroup"`
			FSGroupChangePolicy string                `yaml:"fsGroupChangePolicy"`
			SeccompProfile      struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		TopologySpreadConstraints []struct {
			MaxSkew           int           `yaml:"maxSkew"`
			TopologyKey       string        `yaml:"topologyKey"`
			WhenUnsatisfiable string        `yaml:"whenUnsatisfiable"`
			LabelSelector     labelSelector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		InitContainers []container `yaml:"initContainers"`
		Containers     []container
		Volumes        []struct {
			Name      string
			ConfigMap struct{ Name string } `yaml:"configMap"`
			Secret    struct {
				SecretName  string `yaml:"secretName"`
				DefaultMode int    `yaml:"defaultMode"`
			}
			EmptyDir *struct{ Medium string } `yaml:"emptyDir"`
		}
	}
	container struct {
		Name, Image     string
		ImagePullPolicy string `yaml:"imagePullPolicy"`
		Command, Args   []string
		Env             []struct {
			Name, Value string
			ValueFrom   struct {
				FieldRef struct {
					FieldPath string `yaml:"fieldPath"`
				} `yaml:"fieldRef"`
				ResourceFieldRef struct{ Resource string } `yaml:"resourceFieldRef"`
			} `yaml:"valueFrom"`
		}
		Resources struct{ Requests map[string]string }
		Ports     []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		ReadinessProbe struct {
			HTTPGet        struct{ Path, Port string } `yaml:"httpGet"`
			PeriodSeconds  int                         `yaml:"periodSeconds"`
			TimeoutSeconds int                         `yaml:"timeoutSeconds"`
		} `yaml:"readinessProbe"`
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
)

func TestKubernetes(t *testing.T) {
	docs := documents(t, "k8s.yaml")
	var (
		conf  configMap
		svc   service
		class storageClass
		set   statefulSet
	)
	kinds := []struct {
		version, kind string
		into          any
		object        *object
	}{
		{"v1", "ConfigMap", &conf, &conf.object},
		{"v1", "Service", &svc, &svc.object},
		{"storage.k8s.io/v1", "StorageClass", &class, &class.object},
		{"apps/v1", "StatefulSet", &set, &set.object},
	}
	if len(docs) != len(kinds) {
		t.Fatalf("%d documents, want %d", len(docs), len(kinds))
	}
	for i, k := range kinds {
		decode(t, &docs[i], k.into)
		if k.object.APIVersion != k.version || k.object.Kind != k.kind || k.object.Metadata.Labels["app"] != "s4" {
			t.Errorf("document %d is %+v, want a %s", i, *k.object, k.kind)
		}
	}
	spec := set.Spec
	pod := spec.Template.Spec
	wantCluster(t, conf.Data[filepath.Base(confPath)], spec.Replicas, func(i int) string {
		return fmt.Sprintf("%s-%d.%s", set.Metadata.Name, i, spec.ServiceName)
	})
	if svc.Metadata.Name != spec.ServiceName || svc.Spec.ClusterIP != "None" || !svc.Spec.PublishNotReadyAddresses {
		t.Errorf("the service is %+v", svc)
	}
	for _, labels := range []map[string]string{svc.Spec.Selector, spec.Selector.MatchLabels, pod.TopologySpreadConstraints[0].LabelSelector.MatchLabels} {
		for k, v := range labels {
			if spec.Template.Metadata.Labels[k] != v {
				t.Errorf("pods have no label %s=%s", k, v)
			}
		}
	}
	sec := pod.SecurityContext
	if fmt.Sprint(sec.RunAsUser) != imageUser || fmt.Sprint(sec.RunAsGroup) != imageUser || !sec.RunAsNonRoot || *pod.AutomountServiceAccountToken {
		t.Errorf("security: %+v", sec)
	}

	server := pod.Containers[0]
	wantArgs(t, server.Args, "$(S4_INDEX)")
	env := make(map[string]string)
	for _, e := range server.Env {
		env[e.Name] = e.Value + e.ValueFrom.FieldRef.FieldPath + e.ValueFrom.ResourceFieldRef.Resource
	}
	for _, a := range server.Args {
		if name, ok := strings.CutPrefix(a, "$("); ok && env[strings.TrimSuffix(name, ")")] == "" {
			t.Errorf("%s is not in the environment", a)
		}
	}
	ports := make(map[string]string)
	for _, p := range server.Ports {
		ports[p.Name] = fmt.Sprint(p.ContainerPort)
	}
	if ports["s4"] != serverPort || ports["http"] != httpPort || spec.Template.Metadata.Annotations["prometheus.io/port"] != httpPort {
		t.Errorf("ports are %v", ports)
	}
	for _, p := range svc.Spec.Ports {
		if ports[p.TargetPort] != fmt.Sprint(p.Port) {
			t.Errorf("the service's port %s is %d and goes to %q", p.Name, p.Port, p.TargetPort)
		}
	}
	if probe := server.ReadinessProbe.HTTPGet; probe.Path != "/healthz" || ports[probe.Port] != httpPort {
		t.Errorf("readiness is asked for at %+v", probe)
	}

	volumes := map[string]bool{spec.VolumeClaimTemplates[0].Metadata.Name: true}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if n := v.ConfigMap.Name; n != "" && n != conf.Metadata.Name {
			t.Errorf("volume %s is of ConfigMap %s", v.Name, n)
		}
		if v.Secret.SecretName != "" && v.Secret.DefaultMode != 0o400 {
			t.Errorf("the secret has mode %o", v.Secret.DefaultMode)
		}
	}
	if spec.VolumeClaimTemplates[0].Spec.StorageClassName != class.Metadata.Name {
		t.Errorf("volumes are of class %s", spec.VolumeClaimTemplates[0].Spec.StorageClassName)
	}
	mounts := make(map[string]string) // of the server
	for _, c := range append(pod.InitContainers, server) {
		clear(mounts)
		for _, m := range c.VolumeMounts {
			mounts[m.MountPath] = m.Name
			if !volumes[m.Name] {
				t.Errorf("container %s: no volume %s", c.Name, m.Name)
			}
		}
		if !c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation || c.Image != server.Image {
			t.Errorf("container %s: %+v", c.Name, c.SecurityContext)
		}
	}
	if mounts[filepath.Dir(confPath)] != "conf" || mounts["/data"] != "data" {
		t.Errorf("mounts are %v", mounts)
	}
	// The copy of the secret is where the server looks for it.
	install := pod.InitContainers[0].Command
	if to := install[len(install)-1]; to != env["S4_SECRET_FILE"] || mounts[filepath.Dir(to)] != "run" || !slices.Contains(install, "0400") {
		t.Errorf("%q puts the secret there, and the server has %v and %v", install, env, mounts)
	}
}
