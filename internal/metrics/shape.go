package metrics

import "github.com/prometheus/client_golang/prometheus"

// shape are the metrics that follow from a status.
type shape struct {
	all []*prometheus.Desc

	build, start, heartbeat, generation, alarms, service, readable *prometheus.Desc

	packets, bytes                                               *prometheus.Desc
	tableSlots, tableUsed, tableEnded, tableMemory, tableRefused *prometheus.Desc
	ifaceApplied, ifaceUp, flowPackets, flowBytes, flowSet       *prometheus.Desc
	vips                                                         *prometheus.Desc

	dirInfo, dirSync, dirServed, dirSwitching, dirHeld *prometheus.Desc
	dirConnections, dirOld, dirEpoch, dirLast          *prometheus.Desc
	dirTemplates                                       *prometheus.Desc

	serverInfo, serverHealth, serverSince, serverProbed *prometheus.Desc
	serverActive, serverDesired, serverWeight           *prometheus.Desc
	serverMarked, serverConnections                     *prometheus.Desc
	serverCopy, serverLag, serverMeasured               *prometheus.Desc
	serverPackets, serverBytes                          *prometheus.Desc
}

func newShape() shape {
	var s shape
	s.addDaemon()
	s.addPlane()
	s.addDirectors()
	s.addServers()
	return s
}

func (s *shape) add(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("fairlead_"+name, help, labels, nil)
	s.all = append(s.all, d)
	return d
}

func (s *shape) addDaemon() {
	s.build = s.add("build_info",
		"Always 1. The labels say which version of Fairlead runs, and with which Go it was built.", "version", "goversion")
	s.start = s.add("start_time_seconds",
		"Unix time at which the daemon started. The data plane may be older: it outlives the daemon.")
	s.heartbeat = s.add("heartbeat_timestamp_seconds",
		"Unix time at which the daemon's main loop last went round. If it is old, the data plane goes on forwarding but nobody watches the servers.")
	s.generation = s.add("config_generation",
		"How many configurations this daemon accepted since its start. It does not say that the kernel has the last one: see fairlead_director_in_sync.")
	s.alarms = s.add("alarms",
		"Number of alarms at this moment, each of which needs a person. fairlead status says what they are.")
	s.service = s.add("service_state",
		"State of a part of the daemon: 1 for the state that it is in, 0 for the others. \"off\" means that the configuration does not want it.", "service", "state")
	s.readable = s.add("data_plane_readable",
		"1 if the daemon could read what the kernel holds for this scrape. If 0, what is applied and counted is not known and is left out.")
}

func (s *shape) addPlane() {
	s.packets = s.add("packets_total",
		"Packets that the data plane saw since it was attached, by what it did with them. Only packets that arrive: the servers' answers do not pass the director.", "verdict")
	s.bytes = s.add("bytes_total",
		"Bytes of these packets, Ethernet headers included.", "verdict")
	s.tableSlots = s.add("connection_table_slots",
		"Number of connections that the connection table can hold.")
	s.tableUsed = s.add("connection_table_used_slots",
		"Number of slots of the connection table in use, also by connections that ended: they stay until their slot is needed.")
	s.tableEnded = s.add("connection_table_ended_slots",
		"Number of the used slots whose connection was seen to end. They give way first, so they are as good as free.")
	s.tableMemory = s.add("connection_table_memory_bytes",
		"Kernel memory of the connection table. It is taken once and does not grow.")
	s.tableRefused = s.add("connection_table_refused_connections_total",
		"Connections that found no room in the table. They are forwarded, but a switch does not know them.")
	s.ifaceApplied = s.add("interface_applied",
		"1 if the data plane is attached to this interface, read back from the kernel.", "interface")
	s.ifaceUp = s.add("interface_up",
		"1 if the interface was seen up, with carrier.", "interface")
	s.flowPackets = s.add("flow_packets_total",
		"Packets that a flow's rules claimed, by what was done with them. A verdict that never happened is left out, but for \"forward\".", "flow", "verdict")
	s.flowBytes = s.add("flow_bytes_total",
		"Bytes of these packets, Ethernet headers included.", "flow", "verdict")
	s.flowSet = s.add("flow_applied",
		"1 if the kernel holds this flow and all its virtual IPs.", "flow")
	s.vips = s.add("vips",
		"Number of virtual IPs of flows by state. \"announced\" means that ARP for it is answered, not that a client can reach it.", "state")
}

func (s *shape) addDirectors() {
	s.dirInfo = s.add("director_info",
		"Always 1. The labels say whether the director has one active server or shares connections, how it shares them, when it fails back, and how packets get to its servers.", "director", "mode", "failback", "scheduler", "forwarding")
	s.dirSync = s.add("director_in_sync",
		"1 if the kernel holds the choice that the daemon decided on, read back from the kernel. It does not say that the server answers: see fairlead_server_health.", "director")
	s.dirServed = s.add("director_has_server",
		"1 if the kernel forwards to a server of this director. If 0, packets for it are dropped.", "director")
	s.dirSwitching = s.add("director_switching",
		"1 while a switch is under way that waits for a hook, for the new server's check, or for an operator. No server gets packets meanwhile.", "director")
	s.dirHeld = s.add("director_held_syns",
		"SYNs of clients that are kept at this moment, to be sent on when a server is chosen.", "director")
	s.dirConnections = s.add("director_connections",
		"TCP connections of the present epoch that were not seen to end. The director sees the clients' half only, so some may have ended.", "director")
	s.dirTemplates = s.add("director_templates",
		"Clients, or networks of clients, that option persistence keeps on a server of this director.", "director")
	s.dirOld = s.add("director_old_connections",
		"TCP connections of before the last switch that were not seen to end. They are reset, never moved; the number should fall to 0 within seconds.", "director")
	s.dirEpoch = s.add("director_epoch",
		"Number of the present choice. It grows with each switch, and survives restarts and reboots.", "director")
	s.dirLast = s.add("director_last_choice_timestamp_seconds",
		"Unix time since when the present server is chosen: of the last switch, or of the first choice.", "director")
}

func (s *shape) addServers() {
	s.serverInfo = s.add("server_info",
		"Always 1. The labels say which address a server has, and whether it is a regular or a sorry server.", "director", "server", "address", "role")
	s.serverHealth = s.add("server_health",
		"What the checks observed of a server: 1 for its state, 0 for the others. \"unknown\" is checked without a result yet; \"unchecked\" has no check, so nobody knows.", "director", "server", "state")
	s.serverSince = s.add("server_health_since_timestamp_seconds",
		"Unix time since when the server has this health.", "director", "server")
	s.serverProbed = s.add("server_last_check_timestamp_seconds",
		"Unix time of the last check of a server. Absent if it was never checked.", "director", "server")
	s.serverActive = s.add("server_active",
		"1 if the kernel forwards to this server (applied). Of a balanced director: if it gets new connections.", "director", "server")
	s.serverDesired = s.add("server_desired",
		"1 if the daemon decided on this server. Absent for balanced directors, which share.", "director", "server")
	s.serverWeight = s.add("server_weight",
		"Weight of the configuration. 0 is quiescent: it gets no new connections.", "director", "server")
	s.serverMarked = s.add("server_marked",
		"1 if an operator took the server out of use, by drain or by disable. It lasts until fairlead enable.", "director", "server")
	s.serverCopy = s.add("server_copy_state",
		"What is known of a standby server's copy of the data (option synccheck): 1 for its state, 0 for the others. Absent for the active server.", "director", "server", "state")
	s.serverLag = s.add("server_copy_lag_seconds",
		"How far a standby server's copy was behind the active server when it was measured last. Absent if it was never measured.", "director", "server")
	s.serverMeasured = s.add("server_copy_measured_timestamp_seconds",
		"Unix time of that measurement. The lag may have grown since.", "director", "server")
	s.serverConnections = s.add("server_connections",
		"TCP connections of the present epoch to this server that were not seen to end.", "director", "server")
	s.serverPackets = s.add("server_packets_total",
		"Packets that were forwarded to this server since the data plane was attached. Sum them for a director.", "director", "server")
	s.serverBytes = s.add("server_bytes_total",
		"Bytes of these packets, Ethernet headers included.", "director", "server")
}
