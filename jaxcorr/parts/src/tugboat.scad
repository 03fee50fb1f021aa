// A tug boat: flared hull with sheer and portholes, cabin with arched doors and windows, funnel, towing arch.
// Bow towards +x, millimetres, 9.6 mm tall: 48 layers of 0.2 mm.

length = 36;
beam = 14.5;
height = 9.6;
deck_z = 3.6;
bulwark = 1.25;

// Half breadth of the hull at x, in -length/2..length/2: full stern, fine bow.
function half_breadth(x) =
    let (u = x / (length / 2))
    beam / 2 * (u < 0 ? pow(1 - pow(-u, 5), 0.5) : pow(1 - pow(u, 2.2), 0.8));

module outline() {
    // Equal steps of the angle put more points at the two ends, where the curve turns.
    xs = [for (a = [0 : 3 : 180]) -length / 2 * cos(a)];
    polygon(concat([for (x = xs) [x, -half_breadth(x)]],
                   [for (i = [len(xs) - 2 : -1 : 1]) [xs[i], half_breadth(xs[i])]]));
}

module hull_solid(inset) {
    linear_extrude(deck_z, scale = [1.02, 1.1]) offset(delta = -inset) scale([0.97, 0.88]) outline();
    translate([0, 0, deck_z])
        linear_extrude(height - deck_z, scale = [1.03, 1.04])
            scale([1.02, 1.1]) offset(delta = -inset) scale([0.97, 0.88]) outline();
}

// The sheer: the rail is lowest a little aft of the middle and rises to the bow.
module sheer_cut() {
    translate([-5, 0, 5.6 + 62]) rotate([90, 0, 0]) cylinder(r = 62, h = 80, center = true, $fn = 720);
}

module hull_body() {
    difference() {
        hull_solid(0);
        sheer_cut();
        intersection() {
            hull_solid(bulwark);
            translate([-length, -length, deck_z]) cube([2 * length, 2 * length, height]);
        }
        // Portholes: blind holes in both sides.
        for (x = [-9, -3, 3], side = [-1, 1]) translate([x, side * (beam / 2 - 1), 2])
            rotate([90, 0, 0]) cylinder(r = 1.1, h = 3, center = true, $fn = 24);
        // Scuppers: slots through the bulwark at deck height.
        for (x = [-7, 0]) translate([x - 1.5, -beam, deck_z]) cube([3, 2 * beam, 0.8]);
    }
}

module rounded(x, y, r) {
    offset(r = r, $fn = 40) square([x - 2 * r, y - 2 * r], center = true);
}

// An upright opening with a round top, through everything along the local y axis.
module arched_opening(width, top) {
    rotate([90, 0, 0]) linear_extrude(60, center = true) {
        translate([-width / 2, 0]) square([width, top - width / 2]);
        translate([0, top - width / 2]) circle(width / 2, $fn = 40);
    }
}

module cabin() {
    wall = 1.3;
    translate([3, 0, deck_z - 0.2]) difference() {
        union() {
            linear_extrude(height - deck_z + 0.2) rounded(11, 8.4, 2.2);
            // The roof's eaves stand out; their underside is chamfered so that they print without support.
            translate([0, 0, 4.8]) linear_extrude(0.6, scale = [12.4 / 11, 9.8 / 8.4]) rounded(11, 8.4, 2.2);
            translate([0, 0, 5.4]) linear_extrude(height - deck_z - 5.2) rounded(12.4, 9.8, 2.8);
        }
        translate([0, 0, 0.2]) linear_extrude(4.8) rounded(11 - 2 * wall, 8.4 - 2 * wall, 1.2);
        translate([0, 0, 0.2]) rotate([0, 0, 90]) arched_opening(3.2, 4.2);
        for (x = [-1.8, 1.8]) translate([x, 0, 1.6]) arched_opening(2, 2.6);
    }
}

module funnel() {
    translate([-6.2, 0, deck_z - 0.2]) difference() {
        cylinder(r1 = 2.4, r2 = 2.1, h = height - deck_z + 0.2, $fn = 60);
        translate([0, 0, 2]) cylinder(r = 1.1, h = height, $fn = 40);
    }
}

module towing_arch() {
    translate([-11.4, 0, deck_z - 0.2]) difference() {
        translate([-1, -4.8, 0]) cube([2, 9.6, height - deck_z + 0.2]);
        rotate([0, 0, 90]) arched_opening(5.6, 4.6);
        for (side = [-1, 1]) translate([0, side * 7, 6.4]) rotate([0, 90, 0]) cylinder(r = 3.4, h = 10, center = true, $fn = 80);
    }
}

module bollards() {
    for (side = [-1, 1]) translate([11.4, side * 1.5, deck_z - 0.2]) cylinder(r = 0.9, h = 2.6, $fn = 32);
}

hull_body();
intersection() {
    union() { cabin(); funnel(); towing_arch(); bollards(); }
    translate([0, 0, height / 2]) cube([2 * length, 2 * length, height], center = true);
}
