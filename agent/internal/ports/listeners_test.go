package ports

import (
	"reflect"
	"testing"
)

func TestParseSockets(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   2: 0F02000A:0016 0202000A:C000 01 00000000:00000000 00:00000000 00000000     0
   3: broken:0016 0202000A:C000 0A
`
	want := []Listener{{"tcp", "127.0.0.1", 8080}}
	if got := parseSockets(table, "tcp", tcpListen); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v", got)
	}
	six := "  0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0\n" +
		"  1: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A 0:0\n"
	want = []Listener{{"tcp", "::1", 80}, {"tcp", "::", 81}}
	if got := parseSockets(six, "tcp", tcpListen); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v", got)
	}
}
