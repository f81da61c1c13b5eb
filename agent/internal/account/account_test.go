package account

import (
	"os"
	"testing"

	"gaovm/agent/internal/wire"
)

func TestAccountNumbers(t *testing.T) {
	found, err := Lookup("4242:77")
	if err != nil || found.UID != 4242 || found.GID != 77 || found.Home != "/" {
		t.Fatalf("got %+v %v", found, err)
	}
	if found, err = Lookup("root"); err != nil || found.UID != 0 {
		t.Fatalf("got %+v %v", found, err)
	}
	if _, err = Lookup("no-such-user-at-all"); codeOf(err) != wire.CodeNoSuchUser {
		t.Fatal(err)
	}
	if !(&Account{UID: uint32(os.Getuid())}).Searchable("/usr") {
		t.Error("may not enter /usr")
	}
}
