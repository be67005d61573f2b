package config

// maxBaud is the fastest that USB adapters promise.
const maxBaud = 12_000_000

// serial reads how a serial port talks.
func (c *checker) serial(serial *Serial, entry *endEntry, key string) {
	numbers := []struct {
		name        string
		written     int
		value       *int
		least, most int
	}{
		{"baud", entry.Baud, &serial.Baud, 1, maxBaud},
		{"data_bits", entry.DataBits, &serial.DataBits, 5, 8},
		{"stop_bits", entry.StopBits, &serial.StopBits, 1, 2},
	}
	for _, number := range numbers {
		at := key + "." + number.name
		if !c.written(at) {
			continue
		}
		if number.written < number.least || number.written > number.most {
			c.add(at, "%d is out of range; it can be from %d to %d", number.written, number.least, number.most)
		}
		*number.value = number.written
	}
	if at := key + ".parity"; c.written(at) {
		serial.Parity = oneOf(c, at, entry.Parity, "none", "odd", "even", "mark", "space")
	}
	if at := key + ".flow_control"; c.written(at) {
		serial.FlowControl = oneOf(c, at, entry.FlowControl, "none", "hardware", "software")
	}
}
