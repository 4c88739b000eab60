package cli

import "github.com/ctdb-host/ctdb/host/catalog"

// kept are the installed plugins that a command uses: nobody upgrades or removes them before it has ended.
type kept struct {
	held     map[*catalog.Plugin]bool
	releases []func() error
}

func (k *kept) keep(p *catalog.Plugin) error {
	if k.held[p] {
		return nil
	}
	release, err := p.Hold()
	if err != nil {
		return err
	}
	if k.held == nil {
		k.held = map[*catalog.Plugin]bool{}
	}
	k.held[p] = true
	k.releases = append(k.releases, release)
	return nil
}

// release gives them back; that a lock cannot be given back is of no consequence, since it ends with the process.
func (k *kept) release() {
	for _, release := range k.releases {
		_ = release()
	}
	k.held, k.releases = nil, nil
}
