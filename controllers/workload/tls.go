package workload

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	tlsVolume = "tls"
	tlsFolder = "/etc/sluice/tls"
)

// adminPort is the name of the port that probes ask.
func (in Input) adminPort() string {
	if in.Pool.Spec.TLS == nil {
		return portAdmin
	}
	return portAdminTLS
}

// tlsArgs are the enforcer's flags for what tlsVolumes mount.
func (in Input) tlsArgs() []string {
	if in.Pool.Spec.TLS == nil {
		return nil
	}
	args := []string{
		"--tls-cert-file=" + tlsFolder + "/" + corev1.TLSCertKey,
		"--tls-private-key-file=" + tlsFolder + "/" + corev1.TLSPrivateKeyKey,
	}
	if in.Pool.Spec.TLS.Mode == v1alpha1.TLSPermissive {
		args = append(args, "--tls-permissive")
	}
	var files []string
	for i := range in.Pool.Spec.TLS.Authorities() {
		files = append(files, tlsFolder+"/"+authorityFile(i))
	}
	if len(files) > 0 {
		args = append(args, "--tls-client-ca-file="+strings.Join(files, ","))
	}
	return args
}

// tlsVolumes have the certificate, its key and the authorities of clients in one
// folder. They follow the objects that they come from.
func (in Input) tlsVolumes() []corev1.Volume {
	tls := in.Pool.Spec.TLS
	if tls == nil {
		return nil
	}
	sources := []corev1.VolumeProjection{secret(tls.SecretName,
		corev1.KeyToPath{Key: corev1.TLSCertKey, Path: corev1.TLSCertKey},
		corev1.KeyToPath{Key: corev1.TLSPrivateKeyKey, Path: corev1.TLSPrivateKeyKey})}
	for i, ref := range tls.Authorities() {
		item := corev1.KeyToPath{Key: v1alpha1.AuthorityKey, Path: authorityFile(i)}
		if ref.Kind == "Secret" {
			sources = append(sources, secret(ref.Name, item))
		} else {
			sources = append(sources, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: ref.Name}, Items: []corev1.KeyToPath{item},
			}})
		}
	}
	return []corev1.Volume{{Name: tlsVolume, VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: sources, DefaultMode: new(int32(0o440))},
	}}}
}

func (in Input) tlsMounts() []corev1.VolumeMount {
	if in.Pool.Spec.TLS == nil {
		return nil
	}
	return []corev1.VolumeMount{{Name: tlsVolume, MountPath: tlsFolder, ReadOnly: true}}
}

func authorityFile(i int) string { return fmt.Sprintf("client-ca-%d.crt", i) }

func secret(name string, items ...corev1.KeyToPath) corev1.VolumeProjection {
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Items: items,
	}}
}
