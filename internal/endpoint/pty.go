package endpoint

import "errors"

func (o *Opener) openPTY(Spec) (Listener, error) { return nil, errors.ErrUnsupported }

func (o *Opener) adoptPTY(int, Spec, string) (Listener, error) { return nil, errors.ErrUnsupported }

func disposePTY(int, string) bool { return false }
