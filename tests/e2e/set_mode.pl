# Run in a guest: gives the display another size, as a desktop there would, until stdin ends.
use strict;
my ($width, $height) = @ARGV;
sub request { my ($number, $size) = @_; return 0xC0000000 | $size << 16 | 0x64 << 8 | $number; }
sub address { return unpack("Q", pack("P", $_[0])); }
open(my $card, "+<", "/dev/dri/card0") or die "card0: $!";
my ($crtcs, $connectors) = ("\0" x 64, "\0" x 64);
my $resources = pack("Q4 L8", 0, address($crtcs), address($connectors), 0, 0, 16, 16, 0, 0, 0, 0, 0);
ioctl($card, request(0xA0, 64), $resources) or die "resources: $!";
my ($crtc, $connector) = (unpack("L", $crtcs), unpack("L", $connectors));
my $dumb = pack("L6 Q", $height, $width, 32, 0, 0, 0, 0);
ioctl($card, request(0xB2, 32), $dumb) or die "buffer: $!";
my (undef, undef, undef, undef, $handle, $pitch) = unpack("L6", $dumb);
my $frame = pack("L7", 0, $width, $height, $pitch, 32, 24, $handle);
ioctl($card, request(0xAE, 28), $frame) or die "frame: $!";
my $id = unpack("L", $frame);
my $mode = pack("L S10 L3 a32", 65000, $width, $width + 24, $width + 160, $width + 320, 0,
    $height, $height + 3, $height + 9, $height + 38, 0, 60, 10, 0, "test");
my $one = pack("L", $connector);
my $set = pack("Q L7 a68", address($one), 1, $crtc, $id, 0, 0, 0, 1, $mode);
ioctl($card, request(0xA2, 104), $set) or die "mode: $!";
$| = 1;
print "set\n";
<STDIN>;
