// Package realserver prepares this machine to be a real server for Direct Server
// Return: the virtual IPs on the loopback, silence about them by ARP, fixed NFS
// ports, and all of it kept at boot in the distribution's own way. It also says
// what is right and wrong, and takes everything back.
//
// What is wanted is a value; plan compares it with what there is and with the
// record of what was before, and gives the single steps. The record is safe on the
// disk before the first step is done. So setup and undo may be interrupted anywhere,
// and repeated: what is there is always one of what was before, what was put there,
// and what somebody else made of it, which is left alone.
//
// It talks to no director, restarts no service, and asks no other machine. It is
// larger than other packages, because every way in which distributions keep an
// address is here.
package realserver
