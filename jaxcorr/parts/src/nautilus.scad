// A plate of nautilus gears: two equal gears on a logarithmic spiral, and the link with two pins that carries them.
//
// A spiral r = small * exp(growth * angle) has arc length proportional to r - small. Two of them roll on each other at
// the fixed centre distance small + large: one radius grows by what the other loses. A tooth fills the first half of
// each pitch of the arc and the arc holds a whole number of pitches, so that teeth of one meet gaps of the other.
// Millimetres, 9.6 mm tall: 48 layers of 0.2 mm.

height = 9.6;
small = 3.6;
large = 9;
num_teeth = 8;
tooth_half_depth = 0.9;
backlash = 0.1;
web_z = 4.8;
hub_radius = 2.6;
pin_radius = 1.3;

degrees_per_radian = 180 / PI;
growth = ln(large / small) / (2 * PI);
function radius_at(s) = small + (large - small) * s;   // s: fraction of the arc, 0..1
function angle_at(s) = degrees_per_radian * ln(radius_at(s) / small) / growth;

// The point at arc fraction s, moved outwards by d along the spiral's normal.
function spiral_point(s, d) =
    let (r = radius_at(s), a = angle_at(s), n = sqrt(1 + growth * growth))
    [r * cos(a) + d * (cos(a) + growth * sin(a)) / n, r * sin(a) + d * (sin(a) - growth * cos(a)) / n];

module toothed() {
    flank = 0.11;   // half of a flank's share of the pitch
    steps = [[flank, 1], [0.25, 1], [0.5 - flank, 1], [0.5 + flank, -1], [0.75, -1], [1 - flank, -1]];
    points = [for (i = [0 : num_teeth - 1], q = steps) spiral_point((i + q[0]) / num_teeth, q[1] * tooth_half_depth)];
    offset(r = 0.25, $fn = 24) offset(delta = -0.25 - backlash) polygon(points);
}

module plain(d) {
    polygon([for (i = [0 : 120]) spiral_point(i / 120, d)]);
}

// A septum of the shell: half of a thin ring from the hub to the rim.
module septum(angle) {
    reach = small * exp(growth * angle / degrees_per_radian);
    rotate(angle) intersection() {
        translate([reach / 2, 0]) difference() { circle(reach / 2, $fn = 64); circle(reach / 2 - 0.95, $fn = 64); }
        translate([0, -large]) square([2 * large, large]);
    }
}

// A toothed wheel, on it the shell: a spiral wall with septa that end lower, and the hub.
module gear() {
    wall = 1.3;
    difference() {
        union() {
            linear_extrude(web_z) toothed();
            linear_extrude(height - 1.2) difference() { plain(-1); offset(delta = -wall) plain(-1); }
            linear_extrude(6.8) intersection() {
                plain(-1.5);
                union() { for (a = [110 : 60 : 350]) septum(a); }
            }
            cylinder(r = hub_radius, h = height, $fn = 72);
        }
        translate([0, 0, -1]) cylinder(r = pin_radius + 0.25, h = height + 2, $fn = 48);
    }
}

module link() {
    distance = small + large;
    width = 5;
    difference() {
        linear_extrude(2.8) hull() { for (x = [0, distance]) translate([x, 0]) circle(width / 2, $fn = 64); }
        // A tunnel with a round roof under the middle, and a slot above it.
        translate([distance / 2, 0, -1]) rotate([90, 0, 0]) cylinder(r = 2.7, h = 20, center = true, $fn = 64);
        translate([distance / 2 - 3, -0.7, 2]) cube([6, 1.4, 2]);
    }
    for (x = [0, distance]) translate([x, 0, 0]) difference() {
        union() {
            cylinder(r = 1.9, h = 3.6, $fn = 48);
            cylinder(r = pin_radius, h = height, $fn = 48);
        }
        translate([-0.3, -4, 5.6]) cube([0.6, 8, height]);   // a slot, so that the pin gives
    }
}

gear();
translate([21, 3.6, 0]) rotate(180) gear();
translate([4.2, -11.8, 0]) link();
