package doctor

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// resolveTime is how long a name is asked for.
const resolveTime = 2 * time.Second

// resolve finds the addresses of a host; none, if it is not known.
func (m Machine) resolve(ctx context.Context, host string) []netip.Addr {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	return found
}
