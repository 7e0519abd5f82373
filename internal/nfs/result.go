package nfs

import "time"

// status reads the status that starts every NFS and MOUNT result.
func (d *decoder) status() error {
	s := d.uint32()
	if d.err != nil {
		return d.err
	}
	if s != 0 {
		return Status(s)
	}
	return nil
}

func (d *decoder) attr() Attr {
	var a Attr
	a.Type = d.uint32()
	a.Mode = d.uint32()
	d.take(4 + 4 + 4) // links, uid, gid
	a.Size = d.uint64()
	d.take(8 + 8 + 8) // used, device, file system
	a.FileID = d.uint64()
	d.take(8) // atime
	sec, nsec := d.uint32(), d.uint32()
	a.Mtime = time.Unix(int64(sec), int64(nsec))
	d.take(8) // ctime
	return a
}

// postAttr reads and drops a post_op_attr.
func (d *decoder) postAttr() {
	if d.bool() {
		d.attr()
	}
}

// wcc reads and drops a wcc_data.
func (d *decoder) wcc() {
	if d.bool() {
		d.take(8 + 8 + 8)
	}
	d.postAttr()
}

func (d *decoder) verifier() (v Verifier) {
	copy(v[:], d.take(len(v)))
	return v
}

func mountResult(d *decoder) (Handle, error) {
	if err := d.status(); err != nil {
		return "", err
	}
	h := d.handle()
	n := d.uint32()
	if n > maxFlavor {
		d.fail("%d authentication flavours", n)
	}
	return h, d.err
}

func portResult(d *decoder) (uint16, error) {
	p := d.uint32()
	if p > 65535 {
		d.fail("port %d", p)
	}
	return uint16(p), d.err
}

func attrResult(d *decoder) (Attr, error) {
	if err := d.status(); err != nil {
		return Attr{}, err
	}
	a := d.attr()
	return a, d.err
}

func lookupResult(d *decoder) (Handle, error) {
	if err := d.status(); err != nil {
		return "", err
	}
	h := d.handle()
	return h, d.err
}

// createResult is CREATE's and MKDIR's: the handle is optional.
func createResult(d *decoder) (h Handle, given bool, err error) {
	if err := d.status(); err != nil {
		return "", false, err
	}
	if given = d.bool(); given {
		h = d.handle()
	}
	return h, given, d.err
}

func readResult(d *decoder) (data []byte, eof bool, err error) {
	if err := d.status(); err != nil {
		return nil, false, err
	}
	d.postAttr()
	count := d.uint32()
	eof = d.bool()
	data = d.opaque(MaxData)
	if d.err == nil && int(count) != len(data) {
		d.fail("count %d with %d bytes of data", count, len(data))
	}
	return data, eof, d.err
}

func writeResult(d *decoder) (Written, error) {
	if err := d.status(); err != nil {
		return Written{}, err
	}
	d.wcc()
	w := Written{Count: d.uint32()}
	w.Stable = d.uint32() == 2 // FILE_SYNC
	w.Verifier = d.verifier()
	return w, d.err
}

func commitResult(d *decoder) (Verifier, error) {
	if err := d.status(); err != nil {
		return Verifier{}, err
	}
	d.wcc()
	v := d.verifier()
	return v, d.err
}

// entries is one reply of READDIR.
type entries struct {
	names    []string
	cookie   uint64 // of the last name
	verifier Verifier
	end      bool
}

func readDirResult(d *decoder) (entries, error) {
	if err := d.status(); err != nil {
		return entries{}, err
	}
	d.postAttr()
	l := entries{verifier: d.verifier()}
	for d.bool() {
		d.uint64() // file ID
		name := string(d.opaque(maxName))
		l.cookie = d.uint64()
		if name != "." && name != ".." {
			l.names = append(l.names, name)
		}
	}
	l.end = d.bool()
	return l, d.err
}
