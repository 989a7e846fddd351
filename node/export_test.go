package node

import "context"

// ExpireSessions ends the sessions that are too old, as Run does every minute.
func (n *Node) ExpireSessions(ctx context.Context) { n.pushes.Expire(ctx) }

// Reconcile takes up the heads of stores, as Run does every minute.
func (n *Node) Reconcile(ctx context.Context) { n.reconcile(ctx) }
