package render

import (
	"encoding/binary"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"serialhub/internal/relay"
	"serialhub/internal/watch"
)

// upperPDU is LINKTYPE_WIRESHARK_UPPER_PDU: tags that tell Wireshark what to show, and then the bytes. With it Wireshark's own columns show whose
// bytes they are. LINKTYPE_RTAC_SERIAL, the only one for serial lines that Wireshark knows without a plug-in, has no place for names, and shows the state
// of modem lines, of which nothing is known here; those for a USER show nothing until they are set up.
const upperPDU layers.LinkType = 252

// The tags, as Wireshark's exported_pdu_tlvs.h numbers them.
const (
	tagEnd       = 0
	tagDissector = 12
	tagProtocol  = 33 // what the column Protocol shows
	tagInfo      = 36 // what the column Info shows; Wireshark 4.0 does not know it yet, and shows it as unknown
)

// maxPreview is how many bytes of a packet its column Info shows, at most.
const maxPreview = 48

// pcapng writes a packet for each piece, and an empty one for each gap. Each end is an interface. What a says is outgoing, what b says incoming: the direction is that
// of a's peer. A gap has its size in the columns, in a comment, and in the drop count.
type pcapng struct {
	immediate
	link   string
	names  [2]string // of both directions
	writer *pcapgo.NgWriter
	out    appender // where the writer writes
	packet []byte
}

// appender makes a slice of what is written, and never fails.
type appender struct{ to []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.to = append(a.to, p...)
	return len(p), nil
}

func newPCAPNG(link string) *pcapng {
	return &pcapng{link: link, names: [2]string{relay.A: link + " a>b", relay.B: link + " b>a"}}
}

// Header begins a section, with both interfaces. A file can have any number of them.
func (p *pcapng) Header(dst []byte) []byte {
	p.out.to = dst
	section := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "serialhub", Comment: "serialhub link " + p.link}}
	writer, err := pcapgo.NewNgWriterInterface(&p.out, p.side(relay.A), section)
	must(err)
	_, err = writer.AddInterface(p.side(relay.B))
	must(err)
	must(writer.Flush())
	p.writer = writer
	return p.written()
}

// side describes the interface of an end.
func (p *pcapng) side(s relay.Side) pcapgo.NgInterface {
	return pcapgo.NgInterface{
		Name:        p.link + " " + s.String(),
		Description: "what the peer at end " + s.String() + " of link " + p.link + " says",
		LinkType:    upperPDU,
	}
}

func (p *pcapng) Append(dst []byte, e watch.Event) []byte {
	if p.writer == nil {
		dst = p.Header(dst)
	}
	p.out.to = dst
	if e.Missed > 0 {
		p.packet = appendMissed(p.packet[:0], e)
		notice := string(p.packet)
		p.describe(notice, []byte(notice))
		p.write(e, pcapgo.NgPacketOptions{Comments: []string{notice}, DropCount: &e.Missed})
	}
	if len(e.Data) > 0 {
		p.describe(p.names[e.From], e.Data[:min(len(e.Data), maxPreview)])
		p.packet = append(p.packet, e.Data...)
		p.write(e, pcapgo.NgPacketOptions{})
	}
	must(p.writer.Flush())
	return p.written()
}

// describe begins a packet, with what Wireshark's columns Protocol and Info show.
func (p *pcapng) describe(protocol string, info []byte) {
	p.packet = appendTag(p.packet[:0], tagDissector, "data")
	p.packet = appendTag(p.packet, tagProtocol, protocol)
	p.packet = appendTag(p.packet, tagInfo, string(appendEscaped(nil, info)))
	p.packet = appendTag(p.packet, tagEnd, "")
}

// appendTag appends a tag, padded as Wireshark does it: the length that it has counts the padding.
func appendTag(dst []byte, tag uint16, value string) []byte {
	padding := -len(value) & 3
	dst = binary.BigEndian.AppendUint16(dst, tag)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)+padding))
	dst = append(dst, value...)
	return append(dst, "\x00\x00\x00"[:padding]...)
}

// write appends the packet.
func (p *pcapng) write(e watch.Event, o pcapgo.NgPacketOptions) {
	o.Flags = &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionOutbound}
	if e.From == relay.B {
		o.Flags.Direction = pcapgo.NgEpbFlagDirectionInbound
	}
	about := gopacket.CaptureInfo{Timestamp: e.At, CaptureLength: len(p.packet), Length: len(p.packet), InterfaceIndex: int(e.From)}
	must(p.writer.WritePacketWithOptions(about, p.packet, o))
}

// written is all that has been appended.
func (p *pcapng) written() []byte {
	dst := p.out.to
	p.out.to = nil
	return dst
}

// must panics: what is written is well formed, and the appender takes all of it.
func must(err error) {
	if err != nil {
		panic("render: " + err.Error())
	}
}
