package membership

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// Leave tells the others that this enforcer will stop: to them it is Leaving. It
// returns when that has been sent to as many as it takes to reach all, or when
// ctx ends; an error says that some may not know. The enforcer goes on to take
// part.
func (m *Membership) Leave(ctx context.Context) error {
	m.leaving()
	if err := m.tell(ctx, (*memberlist.Memberlist).UpdateNode); err != nil {
		return fmt.Errorf("the others may not know yet that this enforcer will stop: %w", err)
	}
	return nil
}

// Stop leaves for good: the others forget this enforcer at once, instead of
// finding out that it does not answer. If it has not said that it leaves, it says
// so before. Stop makes Run return, and waits for that or for ctx; an error says
// that some may not know. Before Run it makes Run return at once, and after Run
// it does nothing.
func (m *Membership) Stop(ctx context.Context) error {
	var err error
	if !m.leaving() {
		err = m.tell(ctx, (*memberlist.Memberlist).UpdateNode)
	}
	if leaveErr := m.tell(ctx, (*memberlist.Memberlist).Leave); leaveErr != nil {
		err = leaveErr
	}
	m.end()
	m.mu.Lock()
	running := m.running
	m.mu.Unlock()
	if running {
		select {
		case <-m.done:
		case <-ctx.Done():
		}
	}
	if err != nil {
		return fmt.Errorf("the others may not know yet that this enforcer has stopped: %w", err)
	}
	return nil
}

// leaving takes note that this enforcer will stop, and says whether that was
// known.
func (m *Membership) leaving() (known bool) {
	m.mu.Lock()
	known = m.roster.self.leaving
	m.roster.self.leaving = true
	m.mu.Unlock()
	m.wake()
	return known
}

// tell calls a method of memberlist that waits until something has been spread,
// with the time that there is until ctx ends, at most goodbye. With nobody to tell
// it to, it does nothing: who comes will see it.
func (m *Membership) tell(ctx context.Context, spread func(*memberlist.Memberlist, time.Duration) error) error {
	left := goodbye
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	if left <= 0 {
		return context.DeadlineExceeded
	}
	done := make(chan error, 1)
	go func() {
		<-m.talk
		defer token(m.talk)
		if m.list == nil {
			done <- nil
			return
		}
		done <- spread(m.list, left)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
