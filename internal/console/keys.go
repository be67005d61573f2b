package console

import "bytes"

// Prefix is Ctrl-], the key before a command. (So it is in telnet; no shell or editor uses it much.)
const Prefix = 0x1d

// keys tells what is typed for the other side from commands to this one.
type keys struct{ prefixed bool }

// split calls say with what is for the other side, and do with each key that comes after the prefix, in order, until one of them returns
// an error. The prefix itself, typed twice, is for the other side. What say is given belongs to the caller of split.
func (k *keys) split(typed []byte, say func([]byte) error, do func(key byte) error) error {
	for len(typed) > 0 {
		if k.prefixed {
			k.prefixed = false
			key := typed[0]
			if key == Prefix {
				if err := say(typed[:1]); err != nil {
					return err
				}
			} else if err := do(key); err != nil {
				return err
			}
			typed = typed[1:]
			continue
		}
		plain, rest, found := bytes.Cut(typed, []byte{Prefix})
		if len(plain) > 0 {
			if err := say(plain); err != nil {
				return err
			}
		}
		k.prefixed, typed = found, rest
	}
	return nil
}
