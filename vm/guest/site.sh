# The site of the test, as functions of the guest's shell: one Ethernet segment
# with a client, a director and two NFS servers, each a network namespace.
#
# Both servers export the one ext4 file system of the guest's disk. So they give
# the same handle for a file, and what one acknowledged the other has: storage
# without fault, so that every wrong byte is the fault of who directs.

vip=192.168.10.50
hosts="client director nfs-01 nfs-02"

address() {
	case $1 in
	client) echo 192.168.10.1 ;;
	director) echo 192.168.10.10 ;;
	nfs-01) echo 192.168.10.100 ;;
	nfs-02) echo 192.168.10.101 ;;
	esac
}

# segment builds the network. XDP reads the checksum from the frame, so nobody may
# leave it to hardware that a veth does not have.
segment() {
	ip link add switch type bridge forward_delay 0 mcast_snooping 0
	ip link set switch up
	for host in $hosts; do
		ip netns add $host
		ip link add $host type veth peer name eth0 netns $host
		probe in $host sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
		probe in $host ethtool -K eth0 tx off >/dev/null
		ethtool -K $host tx off >/dev/null
		ip link set $host master switch up
		ip -n $host link set lo up
		ip -n $host addr add "$(address $host)/24" dev eth0
		ip -n $host link set eth0 up
	done
	for host in nfs-01 nfs-02; do
		probe in $host sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
		ip -n $host addr add $vip/32 dev lo
	done
	# The far end of the director's cable: else no frame that native XDP sends arrives.
	probe pass director >/run/pass.log 2>&1 &
}

# storage mounts the file system that both servers export. Leases are off: a
# delegation that a dead server gave would bind the other one, because here both
# live in one kernel.
storage() {
	modprobe virtio_pci && modprobe virtio_blk && modprobe ext4 && mount -t ext4 /dev/vda /export || return
	mkdir /export/v3 /export/v4.1
	echo 0 >/proc/sys/fs/leases-enable
	echo "/export *(rw,sync,no_root_squash,no_subtree_check,fsid=0,insecure)" >/etc/exports
	modprobe nfsd
}

# server HOST: the kernel's NFS server of that host. Its tools want fixed paths, so
# they get a mount namespace with paths of their own. The host's control files of
# nfsd are also in /run/HOST.nfsd.
server() {
	cat >"/tmp/$1" <<'END'
mount --make-rprivate /
mount -t tmpfs none /run
mount -t tmpfs none /var/lib/nfs
mkdir -p /run/rpcbind /var/lib/nfs/rpc_pipefs /var/lib/nfs/nfsdcld
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t rpc_pipefs none /var/lib/nfs/rpc_pipefs
mount -t nfsd none /proc/fs/nfsd
remember() { nfsdcld -F & echo $! >"$0.nfsdcld"; }
rpcbind -w && sleep 0.3 && exportfs -ra && remember && sleep 0.5 && rpc.nfsd -G 10 -L 10 4 && rpc.mountd -p 20048 && echo ready
exec sleep 1000000
END
	mkdir -p "/run/$1.nfsd"
	probe in "$1" mount -t nfsd none "/run/$1.nfsd"
	probe in "$1" unshare -m bash "/tmp/$1" >"/run/$1.log" 2>&1 &
	echo $! >"/run/$1.pid"
	await 20 grep -q ready "/run/$1.log" || { cat "/run/$1.log"; return 1; }
}

# serving HOST: until the grace period of that server is over, in which it answers
# no version 4 client that is new to it. Where it may be ended, it is.
serving() {
	echo Y >"/run/$1.nfsd/v4_end_grace" 2>/dev/null || true
	await 20 grep -q Y "/run/$1.nfsd/v4_end_grace"
}

# restart HOST: starts the server's threads again after they were stopped.
restart() {
	nsenter -m -n -t "$(cat "/run/$1.pid")" rpc.nfsd -G 10 -L 10 4 && serving "$1"
}

# await SECONDS COMMAND…: until the command succeeds.
await() {
	local left=$(($1 * 10))
	shift
	until "$@"; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.1
	done
}

# await_check HOST: until somebody has asked whether that server accepts
# connections. The client keeps its connections, so a new one is a check's.
await_check() {
	local before
	before=$(accepted "$1")
	await 15 eval "[ \$(accepted $1) != $before ]"
}

# accepted HOST: how many connections were accepted there (PassiveOpens).
accepted() { probe in "$1" awk '/^Tcp: [0-9]/ { print $7 }' /proc/net/snmp; }

# ipvs_up: keepalived and IPVS with the settings of the application note.
ipvs_up() {
	modprobe ip_vs && modprobe ip_vs_rr && modprobe ip_tables && modprobe iptable_mangle && modprobe xt_mark || return
	ip -n director addr add $vip/32 dev lo
	probe in director sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.eth0.send_redirects=0 net.ipv4.vs.expire_nodest_conn=1 net.ipv4.vs.expire_quiescent_template=1
	probe in director iptables-legacy -t mangle -A PREROUTING -i eth0 -d $vip -j MARK --set-mark 1 || return
	cat >/run/keepalived.conf <<END
virtual_server fwmark 1 {
  delay_loop 10
  lb_algo rr
  lb_kind DR
  sorry_server 192.168.10.101 0
  real_server 192.168.10.100 0 {
    weight 10
    TCP_CHECK {
      connect_port 2049
      connect_timeout 2
    }
  }
}
END
	probe in director keepalived --dont-fork --log-console --log-detail --check --use-file /run/keepalived.conf \
		--pid /run/keepalived.pid --checkers_pid /run/checkers.pid >/run/keepalived.log 2>&1 &
	director=$!
}

ipvs_down() {
	kill $director && wait $director
	probe in director ipvsadm -C
	probe in director iptables-legacy -t mangle -F
	ip -n director addr del $vip/32 dev lo
}

# restarting: from now on the promote hook restarts the server, and the kernel keeps
# when a grace period began and ended, and when it refused anything (NFS4ERR_GRACE,
# 10013), on the clock that the applications read.
#
# A client of version 4.0 cannot say that it has reclaimed everything. With one, the
# grace period takes its whole time.
restarting() {
	mkdir -p /mnt/v4.0 || return
	probe in client mount.nfs $vip:/v4.1 /mnt/v4.0 -o hard,proto=tcp,vers=4.0 && exec 9>/mnt/v4.0/held || return
	touch /run/promote-restarts
	mount -t tracefs none /sys/kernel/tracing || return
	cd /sys/kernel/tracing
	echo mono >trace_clock
	echo "status == 10013" >events/nfsd/nfsd_compound_status/filter
	echo 1 | tee events/nfsd/nfsd_{grace_start,grace_complete,compound_status}/enable >/dev/null
	cd /
}

# restarted: from now on the promote hook restarts nothing.
restarted() {
	rm /run/promote-restarts
	exec 9>&-
	umount /mnt/v4.0 && umount /sys/kernel/tracing
}
