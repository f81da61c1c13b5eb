-- A database as revision 1 of the schema left it. Never edited: old databases do not change either.
BEGIN TRANSACTION;
CREATE TABLE vms (
    name        TEXT PRIMARY KEY,
    project     TEXT NOT NULL,
    config_path TEXT NOT NULL,
    run_id      TEXT NOT NULL UNIQUE,
    spec        TEXT NOT NULL,
    spec_digest TEXT NOT NULL,
    desired     TEXT NOT NULL CHECK (desired IN ('stopped', 'running')),
    observed    TEXT NOT NULL,
    readiness   TEXT,
    first_up    TEXT NOT NULL CHECK (first_up IN ('pending', 'done', 'failed')),
    created_at  TEXT NOT NULL,
    started_at  TEXT,
    boot_id     TEXT,
    image       TEXT,
    facts       TEXT NOT NULL,
    last_error  TEXT,
    added_ports TEXT NOT NULL,
    disk_used   INTEGER NOT NULL DEFAULT 0,
    deleting    INTEGER NOT NULL DEFAULT 0
) STRICT
;
INSERT INTO "vms" VALUES('a.b-c','/p/ü','/p/ü/.lima/config.yaml','0123abcd','{"name":"a.b-c","image":{"location":"x","digest":"sha256:1","kernel":null,"initrd":null,"kernel_arguments":"k"},"guest":{"user":{"name":"u","uid":1,"gid":2,"home":"/home/u.guest","shell":"/bin/sh","comment":"ü"},"hostname":"h","env":{"A":"b"},"provision":[{"name":"provision[0]","mode":"user","script":"#!/bin/sh\n"}],"probes":[{"description":"d","script":"#!/bin/sh\n","hint":"h"}]},"boot":{"arch":"aarch64","machine":"virt","accelerator":"tcg","kernel":"cloud","extra_arguments":""},"processors":{"count":3},"memory":{"size_bytes":1073741824},"disk":{"size_bytes":2147483648},"network":{"mode":"user","forwards":[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]},"shares":[{"location":"/a","mount_point":"/b","writable":true,"type":"9p","field":null}],"message":"hi"}','03f730885d8f55d93124328011dc1e1ec57a89246c28bf90c0bb86dd7dc6b93b','running','running','probing','done','2026-01-01T00:00:00.000Z','2026-01-01T00:00:01.000Z','b','{"name":"debian:12","digest":"d","kernel":"generic"}','{"machine":"q35","accelerator":{"name":"tcg"},"mounts":[],"ports":[{"guest_port":80,"host_port":8080}],"boot":null}','{"code":"c","message":"m","at":"t","remedy":"r"}','[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]',1,1);
INSERT INTO "vms" VALUES('small','/p/ü','/p/ü/.lima/config.yaml','89abcdef','{"name":"small","image":{"location":"x","digest":"sha256:1","kernel":null,"initrd":null,"kernel_arguments":"k"},"guest":{"user":{"name":"u","uid":1,"gid":2,"home":"/home/u.guest","shell":"/bin/sh","comment":"ü"},"hostname":"h","env":{"A":"b"},"provision":[{"name":"provision[0]","mode":"user","script":"#!/bin/sh\n"}],"probes":[{"description":"d","script":"#!/bin/sh\n","hint":"h"}]},"boot":{"arch":"aarch64","machine":"virt","accelerator":"tcg","kernel":"cloud","extra_arguments":""},"processors":{"count":3},"memory":{"size_bytes":1073741824},"disk":{"size_bytes":2147483648},"network":{"mode":"user","forwards":[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]},"shares":[{"location":"/a","mount_point":"/b","writable":true,"type":"9p","field":null}],"message":"hi"}','9a4484f162bf58226d19b2af5441460226be027aa00ca75dcf7f5b564fe37949','stopped','stopped',NULL,'pending','2026-01-01T00:00:00.000Z',NULL,NULL,NULL,'{"machine":"","accelerator":null,"mounts":[],"ports":[],"boot":null}',NULL,'[]',0,0);
COMMIT;
PRAGMA user_version = 1;
