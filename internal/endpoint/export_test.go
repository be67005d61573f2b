package endpoint

// NoticesWithoutInotify is what NewNotices returns when the kernel has no instance left.
func NoticesWithoutInotify() *Notices {
	return &Notices{fd: -1, watches: map[int32]map[*notice]struct{}{}}
}
