// kube-router's controller of NetworkPolicies and nothing else of it: without its routes and its proxy, nearly all that it is made of
// is what Kubernetes is made of, too.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	"github.com/spf13/pflag"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const retry = 100 * time.Millisecond

func main() {
	klog.InitFlags(nil)
	config := options.NewKubeRouterConfig()
	config.AddFlags(pflag.CommandLine)
	pflag.Parse()
	if err := flag.Set("v", config.VLevel); err != nil {
		fail(err)
	}
	fail(run(config))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func run(config *options.KubeRouterConfig) error {
	login, err := clientcmd.BuildConfigFromFlags(config.Master, config.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(login)
	if err != nil {
		return err
	}
	for !registered(client, config.HostnameOverride) {
		time.Sleep(retry)
	}
	iptables, ipsets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}
	made := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := made.Core().V1().Pods().Informer(), made.Core().V1().Namespaces().Informer()
	policies := made.Networking().V1().NetworkPolicies().Informer()
	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &sync.Mutex{}, iptables, ipsets)
	if err != nil {
		return err
	}
	concerned := isConcerned(policies.GetStore())
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       cache.FilteringResourceEventHandler{FilterFunc: concerned, Handler: controller.PodEventHandler},
		namespaces: cache.FilteringResourceEventHandler{FilterFunc: concerned, Handler: controller.NamespaceEventHandler},
		policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	forever := context.Background()
	made.Start(forever.Done())
	made.WaitForCacheSync(forever.Done())
	heartbeats := make(chan *healthcheck.ControllerHeartbeat, 1)
	go func() {
		for range heartbeats {
		}
	}()
	running := &sync.WaitGroup{}
	running.Add(1)
	controller.Run(heartbeats, forever.Done(), running)
	return nil
}

// isConcerned returns a filter of pods and namespaces: those that a policy may select, or may name as a peer. For any other the controller would
// write the rules of every pod anew, a fifth of what a pod costs the node, and nothing would be different.
func isConcerned(policies cache.Store) func(any) bool {
	return func(changed any) bool {
		if unknown, ok := changed.(cache.DeletedFinalStateUnknown); ok {
			changed = unknown.Obj
		}
		object, err := meta.Accessor(changed)
		if err != nil {
			return true
		}
		for _, each := range policies.List() {
			policy, ok := each.(*networking.NetworkPolicy)
			if !ok || policy.Namespace == object.GetNamespace() || namesNamespaces(policy) {
				return true
			}
		}
		return false
	}
}

// namesNamespaces says whether pods of other namespaces are peers of a policy.
func namesNamespaces(policy *networking.NetworkPolicy) bool {
	var peers []networking.NetworkPolicyPeer
	for _, rule := range policy.Spec.Ingress {
		peers = append(peers, rule.From...)
	}
	for _, rule := range policy.Spec.Egress {
		peers = append(peers, rule.To...)
	}
	return slices.ContainsFunc(peers, func(peer networking.NetworkPolicyPeer) bool { return peer.NamespaceSelector != nil })
}

// registered says whether the node is there with its address: the kubelet makes it a moment after its start.
func registered(client kubernetes.Interface, name string) bool {
	node, err := utils.GetNodeObject(client, name)
	return err == nil && len(node.Status.Addresses) > 0
}
