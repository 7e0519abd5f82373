# The site of the measurement, as functions of the guest's shell: a client and a
# director, each a network namespace, on one cable. The client has the servers'
# addresses too, so what the director sends on comes back to where it came from.
# Nobody else can take instructions.

vip=192.168.10.50  # of the director with one active server
marked=192.168.10.52 # of the marked one: connections of a service that is gone get nowhere
server=192.168.10.100

on() { probe in "$@"; }

segment() {
	modprobe veth
	for host in client director; do
		ip netns add $host
		on $host sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
		ip -n $host link set lo up
	done
	ip link add eth0 netns client type veth peer name eth0 netns director
	for host in client director; do
		on $host ethtool -K eth0 tx off >/dev/null
		ip -n $host link set eth0 up
	done
	ip -n client addr add 192.168.10.1/24 dev eth0
	ip -n director addr add 192.168.10.10/24 dev eth0
	on director sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 \
		net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
	# The sink takes everything, questions too.
	for host in 192.168.10.1 $server 192.168.10.101; do
		ip -n director neigh replace $host lladdr "$(mac client)" dev eth0 nud permanent
	done
	probe in client meter xdp drop eth0 >/run/sink.log 2>&1 &
	await 20 grep -q attached /run/sink.log
}

mac() { ip -n "$1" -o link show eth0 | sed 's/.*link.ether \([^ ]*\).*/\1/'; }

# await SECONDS COMMAND…: until it succeeds.
await() {
	local left=$(($1 * 10))
	shift
	until "$@"; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.1
	done
}

# Each way of the packet is set up by one function, and taken down by: none.

xdp() { # drop|tx
	rm -f /run/way.log
	probe in director meter xdp "$1" eth0 >/run/way.log 2>&1 &
	way=$!
	await 20 grep -q attached /run/way.log
}

fairlead_() {
	probe in director fairlead run --attach native -f /etc/fairlead >/run/fairlead.log 2>&1 &
	way=$!
}

forward() {
	on director sysctl -q -w net.ipv4.ip_forward=1
	ip -n director route add $vip/32 via $server dev eth0
}

# ipvs: direct routing for the service, as a plain one.
ipvs() {
	modprobe ip_vs && modprobe ip_vs_rr || return
	ip -n director addr add $vip/32 dev lo
	for protocol in -t -u; do
		on director ipvsadm -A $protocol $vip:2049 -s rr
		on director ipvsadm -a $protocol $vip:2049 -r $server:2049 -g
	done
}

# marked: as the application note has it, by a firewall mark, with persistence.
marked() {
	modprobe ip_vs && modprobe ip_vs_rr && modprobe iptable_mangle && modprobe xt_mark || return
	ip -n director addr add $marked/32 dev lo
	on director iptables-legacy -t mangle -A PREROUTING -i eth0 -d $marked -j MARK --set-mark 1
	on director ipvsadm -A -f 1 -s rr -p 300
	on director ipvsadm -a -f 1 -r $server -g
}

none() {
	if [ -n "$way" ]; then
		kill $way && wait $way
		way=
	fi
	on director fairlead detach >/dev/null 2>&1
	on director ipvsadm -C 2>/dev/null
	on director iptables-legacy -t mangle -F 2>/dev/null
	ip -n director addr flush dev lo scope global
	ip -n director route flush $vip/32
	on director sysctl -q -w net.ipv4.ip_forward=0
	true
}

# packets ADDRESS tcp|udp CONNECTIONS PACKETS. Nobody else works meanwhile: what
# Fairlead has in the kernel goes on without its daemon.
packets() {
	if [ -n "$way" ]; then kill -STOP $way; fi
	GODEBUG=asyncpreemptoff=1 on client meter send eth0 "$(mac director)" 192.168.10.1 "$1:2049" "${@:2}"
	local code=$?
	if [ -n "$way" ]; then kill -CONT $way; fi
	return $code
}
