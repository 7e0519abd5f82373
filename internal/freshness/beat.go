package freshness

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// The form of a heartbeat: lines of text, always of the same length, so that one WRITE
// at the start replaces all of it.
const (
	magic   = "Fairlead heartbeat 1\n"
	beatLen = 512
	sumLen  = len("sum 01234567\n")
	note    = "This file is written anew all the time, to see how old copies of it are.\n"
)

// beat is one heartbeat.
type beat struct {
	director string
	server   string // that it was written to
	host     string // of the director
	life     string // of the director's daemon: other lives have other numbers
	number   uint64 // counts from 1
	at       time.Time
}

// text is a heartbeat as it stands in the file.
func (b beat) text() []byte {
	head := fmt.Sprintf("%s%sdirector %s\nserver %s\nhost %s\nlife %s\nnumber %d\nat %s\n",
		magic, note, b.director, b.server, b.host, b.life, b.number, b.at.UTC().Format(time.RFC3339Nano))
	body := head + strings.Repeat(" ", max(0, beatLen-sumLen-len(head)-1)) + "\n"
	return []byte(body + fmt.Sprintf("sum %08x\n", crc32.ChecksumIEEE([]byte(body))))
}

// Why a file is no heartbeat.
var (
	errStrange = errors.New("it is not a heartbeat of Fairlead")
	errTorn    = errors.New("it is a heartbeat that was written or copied by half")
)

// ours tells whether a file may be written over: it is a heartbeat, perhaps a torn one,
// or empty, as the first try to write one may leave it.
func ours(size uint64, held []byte) error {
	if size == 0 || size == beatLen && strings.HasPrefix(string(held), magic) {
		return nil
	}
	return errStrange
}

// parse reads a heartbeat.
func parse(size uint64, held []byte) (b beat, err error) {
	if err := ours(size, held); err != nil {
		return b, err
	}
	if len(held) != beatLen {
		return b, errTorn
	}
	body := string(held[:beatLen-sumLen])
	if string(held[beatLen-sumLen:]) != fmt.Sprintf("sum %08x\n", crc32.ChecksumIEEE([]byte(body))) {
		return b, errTorn
	}
	fields := map[string]string{}
	for line := range strings.Lines(strings.TrimPrefix(body, magic+note)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, " \n"), " ")
		fields[name] = value
	}
	b = beat{director: fields["director"], server: fields["server"], host: fields["host"], life: fields["life"]}
	b.number, err = strconv.ParseUint(fields["number"], 10, 64)
	if err == nil {
		b.at, err = time.Parse(time.RFC3339Nano, fields["at"])
	}
	if err != nil || b.life == "" {
		return beat{}, errStrange
	}
	return b, nil
}

// plain is a name that is safe in a line of a heartbeat, and not too long for it.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
	return name[:min(len(name), 63)]
}
