package endpoint

import "serialhub/internal/address"

// NoticesWithoutInotify is what NewNotices returns when the kernel has no instance left.
func NoticesWithoutInotify() *Notices {
	return &Notices{fd: -1, watches: map[int32]map[*notice]struct{}{}}
}

// ServerName is what the certificate of the other side has to be for.
func ServerName(s Spec) (string, error) {
	config, err := s.clientConfig()
	if err != nil {
		return "", err
	}
	return config.ServerName, nil
}

// Unreached is what is said of an error of connect.
func Unreached(addr address.Address, err error) error { return unreached(addr, err) }
