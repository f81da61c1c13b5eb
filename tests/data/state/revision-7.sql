-- A database as revision 6 of the schema left it. Never edited: old databases do not change either.
BEGIN TRANSACTION;
CREATE TABLE approvals (
    vm      TEXT PRIMARY KEY,
    digest  TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT
;
INSERT INTO "approvals" VALUES('a.b-c','sha256:1','images: []');
CREATE TABLE disks (
    name       TEXT PRIMARY KEY,
    format     TEXT NOT NULL CHECK (format IN ('qcow2', 'raw')),
    size_bytes INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('making', 'ready', 'removing'))
) STRICT
;
INSERT INTO "disks" VALUES('data','qcow2',1073741824,'2026-01-01T00:00:00.000Z','ready');
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    ts      TEXT NOT NULL,
    type    TEXT NOT NULL,
    vm      TEXT,
    payload TEXT NOT NULL
) STRICT
;
INSERT INTO "events" VALUES(2,'2026-01-01T00:00:01.000Z','vm.state','small','{"n": 1}');
INSERT INTO "events" VALUES(3,'2026-01-01T00:00:02.000Z','vm.state','small','{"n": 2}');
CREATE TABLE quarantine (
    id     INTEGER PRIMARY KEY,
    at     TEXT NOT NULL,
    name   TEXT NOT NULL,
    reason TEXT NOT NULL,
    data   TEXT NOT NULL
) STRICT
;
INSERT INTO "quarantine" VALUES(1,'2026-01-01T00:00:00.000Z','x','r','{}');
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
, base TEXT, overrides TEXT NOT NULL DEFAULT '{}', pending TEXT, restarts TEXT NOT NULL DEFAULT '{}', approved TEXT, directory TEXT, is_default INTEGER, protected INTEGER NOT NULL DEFAULT 0) STRICT
;
INSERT INTO "vms" VALUES('a.b-c','/p/ü','/p/ü/.lima/config.yaml','0123abcd','{"name":"a.b-c","image":{"location":"x","digest":"sha256:1","kernel":null,"initrd":null,"kernel_arguments":"k"},"guest":{"user":{"name":"u","uid":1,"gid":2,"home":"/home/u.guest","shell":"/bin/sh","comment":"ü"},"hostname":"h","env":{"A":"b"},"provision":[{"name":"provision[0]","mode":"user","script":"#!/bin/sh\n"}],"probes":[{"description":"d","script":"#!/bin/sh\n","hint":"h"}]},"boot":{"arch":"aarch64","machine":"virt","accelerator":"tcg","kernel":"cloud","extra_arguments":""},"processors":{"count":3},"memory":{"size_bytes":1073741824},"disk":{"size_bytes":2147483648},"network":{"mode":"user","forwards":[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]},"shares":[{"location":"/a","mount_point":"/b","writable":true,"type":"9p","field":null}],"graphics":{"enabled":false,"width":1280,"height":800},"supervision":{"restart":{"policy":"on-failure","max_attempts":5,"max_delay_s":30.0,"stable_s":60.0},"watchdog":{"device":false,"timeout_s":30,"heartbeat":true,"on_hang":"event"},"stop":{"grace_s":30.0,"force_s":5.0},"autostart":false},"message":"hi"}','b5c37d9d199c874e8f18fff5c88a2bf1bf897955d575a261a4ef27441db8080b','running','running','probing','done','2026-01-01T00:00:00.000Z','2026-01-01T00:00:01.000Z','b','{"name":"debian:12","digest":"d","kernel":"generic"}','{"machine":"q35","accelerator":{"name":"tcg"},"mounts":[],"ports":[{"guest_port":80,"host_port":8080}],"boot":null}','{"code":"c","message":"m","at":"t","remedy":"r","serial_tail":[]}','[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]',1,1,'{"name":"a.b-c","image":{"location":"x","digest":"sha256:1","kernel":null,"initrd":null,"kernel_arguments":"k"},"guest":{"user":{"name":"u","uid":1,"gid":2,"home":"/home/u.guest","shell":"/bin/sh","comment":"ü"},"hostname":"h","env":{"A":"b"},"provision":[{"name":"provision[0]","mode":"user","script":"#!/bin/sh\n"}],"probes":[{"description":"d","script":"#!/bin/sh\n","hint":"h"}]},"boot":{"arch":"aarch64","machine":"virt","accelerator":"tcg","kernel":"cloud","extra_arguments":""},"processors":{"count":3},"memory":{"size_bytes":1073741824},"disk":{"size_bytes":2147483648},"network":{"mode":"user","forwards":[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]},"shares":[{"location":"/a","mount_point":"/b","writable":true,"type":"9p","field":null}],"graphics":{"enabled":false,"width":1280,"height":800},"supervision":{"restart":{"policy":"on-failure","max_attempts":5,"max_delay_s":30.0,"stable_s":60.0},"watchdog":{"device":false,"timeout_s":30,"heartbeat":true,"on_hang":"event"},"stop":{"grace_s":30.0,"force_s":5.0},"autostart":false},"message":"as the file says"}','{"cpus":4,"graphics.enabled":true}','{"name":"a.b-c","image":{"location":"x","digest":"sha256:1","kernel":null,"initrd":null,"kernel_arguments":"k"},"guest":{"user":{"name":"u","uid":1,"gid":2,"home":"/home/u.guest","shell":"/bin/sh","comment":"ü"},"hostname":"h","env":{"A":"b"},"provision":[{"name":"provision[0]","mode":"user","script":"#!/bin/sh\n"}],"probes":[{"description":"d","script":"#!/bin/sh\n","hint":"h"}]},"boot":{"arch":"aarch64","machine":"virt","accelerator":"tcg","kernel":"cloud","extra_arguments":""},"processors":{"count":3},"memory":{"size_bytes":1073741824},"disk":{"size_bytes":2147483648},"network":{"mode":"user","forwards":[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]},"shares":[{"location":"/a","mount_point":"/b","writable":true,"type":"9p","field":null}],"graphics":{"enabled":false,"width":1280,"height":800},"supervision":{"restart":{"policy":"on-failure","max_attempts":5,"max_delay_s":30.0,"stable_s":60.0},"watchdog":{"device":false,"timeout_s":30,"heartbeat":true,"on_hang":"event"},"stop":{"grace_s":30.0,"force_s":5.0},"autostart":false},"message":"next"}','{"attempts":2,"recent":[1.5,3.0],"due_at":4.0}','{"digest":"sha256:1","reaches":[{"kind":"mount","what":"/etc","mode":"read-only"}]}','{"device":1,"inode":18446744073709551615,"mark":"m"}',1,1);
INSERT INTO "vms" VALUES('small','/p/ü','/p/ü/.lima/config.yaml','89abcdef','{"name":"small","image":{"location":"x","digest":"sha256:1","kernel":null,"initrd":null,"kernel_arguments":"k"},"guest":{"user":{"name":"u","uid":1,"gid":2,"home":"/home/u.guest","shell":"/bin/sh","comment":"ü"},"hostname":"h","env":{"A":"b"},"provision":[{"name":"provision[0]","mode":"user","script":"#!/bin/sh\n"}],"probes":[{"description":"d","script":"#!/bin/sh\n","hint":"h"}]},"boot":{"arch":"aarch64","machine":"virt","accelerator":"tcg","kernel":"cloud","extra_arguments":""},"processors":{"count":3},"memory":{"size_bytes":1073741824},"disk":{"size_bytes":2147483648},"network":{"mode":"user","forwards":[{"guest_port":80,"host_port":8080,"guest_ip":"127.0.0.1","host_ip":"0.0.0.0","field":null}]},"shares":[{"location":"/a","mount_point":"/b","writable":true,"type":"9p","field":null}],"graphics":{"enabled":false,"width":1280,"height":800},"supervision":{"restart":{"policy":"on-failure","max_attempts":5,"max_delay_s":30.0,"stable_s":60.0},"watchdog":{"device":false,"timeout_s":30,"heartbeat":true,"on_hang":"event"},"stop":{"grace_s":30.0,"force_s":5.0},"autostart":false},"message":"hi"}','525e52c19e5d03bca475a3ae5b8299fbe2c5cab37170d3b17d25ed9977d11a0b','stopped','stopped',NULL,'pending','2026-01-01T00:00:00.000Z',NULL,NULL,NULL,'{"machine":"","accelerator":null,"mounts":[],"ports":[],"boot":null}',NULL,'[]',0,0,NULL,'{}',NULL,'{"attempts":0,"recent":[],"due_at":null}',NULL,NULL,NULL,0);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',3);
COMMIT;
PRAGMA user_version = 7;
