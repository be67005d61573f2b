package continuity

// interruption is a way in which a hub's process ends and the next takes over.
type interruption struct {
	name    string
	managed bool
	replace bool             // in place: there is no time in which the hub is down
	end     func(s *service) // how the process ends, unless it is replaced
}

// interruptions are all there are.
func interruptions() []interruption {
	return []interruption{
		{name: "kill", managed: true, end: (*service).kill},
		{name: "restart", managed: true, end: (*service).terminate},
		{name: "replace", replace: true},
		{name: "replace managed", managed: true, replace: true},
	}
}

// happen interrupts a service.
func (i interruption) happen(s *service) {
	s.t.Helper()
	i.during(s, func() {})
}

// during does something while the hub is down, or else just before it is replaced.
func (i interruption) during(s *service, act func()) {
	s.t.Helper()
	if i.replace {
		act()
		s.replace()
		return
	}
	i.end(s)
	act()
	s.start()
}
