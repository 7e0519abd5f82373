// Package viproute lets checks reach a virtual IP on one server, over the path that
// clients' packets take: a packet with a server's mark goes to that server, as if
// it were a router to the virtual IP.
//
// For each server there is one rule (fwmark → table) and one table with a route for
// each virtual IP. Nobody else's packets have the mark, so what a killed daemon
// leaves behind does nothing; the next one takes it over, and Remove takes it away.
// Rules and routes are known by their protocol number, and the routes' metric says
// which daemon's they are: several may run in one network namespace, and a rule goes
// when no daemon's route is left in its table. The package does not probe,
// and it does not decide what is checked.
//
// Why routes, and no packets of our own: a check by the kernel's TCP can speak any
// protocol. Why one mark for each server: the same virtual IP is on all of them.
package viproute
