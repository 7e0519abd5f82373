package image

// format counts changes of what the code of this package writes, other than those
// of the lists below: an older image in the cache is then not used.
const format = 1

// kernelPackage depends on the present kernel for virtual machines.
const kernelPackage = "linux-image-cloud-amd64"

// packages hold the guest's programmes. What they depend on comes along.
var packages = []string{
	"bash", "busybox-static", "kmod", // a shell, the small tools, modprobe
	"iproute2", "ethtool", "tcpdump", // the network, and a look at it
	"nfs-kernel-server", "rpcbind", // server and client of the kernel's NFS
	"keepalived", "ipvsadm", "iptables", // the system that Fairlead is compared with
}

// binaries go into the guest's /bin, with the libraries that they load. What is
// missing here busybox may have: its applets come last in the guest's PATH.
var binaries = []string{
	"bash", "busybox", "kmod",
	"ip", "ss", "ethtool", "tcpdump",
	"mount.nfs", "exportfs", "nfsdcld", "rpc.mountd", "rpc.nfsd", "rpcbind",
	"keepalived", "ipvsadm", "xtables-legacy-multi",
}

// links are further names.
var links = map[string]string{
	"bin/sh":                     "bash",
	"sbin/modprobe":              "/bin/kmod",
	"bin/iptables-legacy":        "xtables-legacy-multi",
	"lib64/ld-linux-x86-64.so.2": "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
}

// extras are other files of the packages.
var extras = []string{
	"etc/netconfig", "etc/protocols", "etc/rpc", "etc/services",
	"usr/lib/x86_64-linux-gnu/xtables/libxt_mark.so", "usr/lib/x86_64-linux-gnu/xtables/libxt_MARK.so",
}

// modules go into the image, with those that they depend on. What the kernel has
// built in, or has no longer, is passed over; the guest tells what it lacks.
var modules = []string{
	"virtio_pci", "virtio_blk", "ext4", "crc32c_generic",
	"bridge", "veth",
	"nfs", "nfsv3", "nfsv4", "nfsd",
	"ip_vs", "ip_vs_rr", "ip_tables", "iptable_mangle", "xt_mark", "xt_MARK",
}

// texts are files of the guest's /etc.
var texts = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\n_rpc:x:102:65534::/run/rpcbind:/bin/false\nnobody:x:65534:65534::/:/bin/false\n",
	"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nprotocols: files\nservices: files\nrpc: files\n",
	"etc/hosts":         "127.0.0.1 localhost\n",
	"etc/exports":       "",
}

// directories are made empty.
var directories = []string{"dev", "export", "mnt", "proc", "root", "run", "sys", "tmp", "var/lib/nfs", "var/run"}
