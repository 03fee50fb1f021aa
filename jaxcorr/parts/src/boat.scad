// A simple open boat: flared shell with a transom, floor boards, three thwarts, a foredeck, and two oars beside it.
// Bow towards +x, millimetres, 9.6 mm tall: 48 layers of 0.2 mm.

length = 33;
beam = 11;
height = 9.6;
wall = 1.45;
floor_z = 2.4;
flare = [1.06, 1.24];

// Half breadth on the floor: flat transom at the stern, round bilge, fine bow.
function half_breadth(x) =
    let (u = x / length)
    beam / 2 * (u < -0.1 ? 1 - 0.9 * pow(-u - 0.1, 1.7) : pow(1 - pow((u + 0.1) / 0.6, 2), 0.75));

module outline() {
    xs = [for (i = [0 : 70]) length * (sin(90 * i / 70) - 0.5)];
    polygon(concat([for (x = xs) [x, -half_breadth(x)]], [for (i = [70 : -1 : 0]) [xs[i], half_breadth(xs[i])]]));
}

module shell(inset) {
    linear_extrude(height, scale = flare) offset(delta = -inset) outline();
}

module band(z, thickness) {
    translate([-length, -length, z]) cube([2 * length, 2 * length, thickness]);
}

// The rail dips by 1.6 mm amidships.
module sheer_cut() {
    translate([-2, 0, 8.0 + 80]) rotate([90, 0, 0]) cylinder(r = 80, h = 80, center = true, $fn = 1440);
}

module hull_shell() {
    difference() {
        shell(0);
        intersection() { shell(wall); band(floor_z, height); }
        sheer_cut();
        // Rowlocks.
        for (x = [-8, 1]) translate([x, 0, 8.3]) rotate([90, 0, 0]) cylinder(r = 1.2, h = 60, center = true, $fn = 32);
        // Sculling notch in the transom.
        translate([-length / 2, 0, 9.2]) rotate([0, 90, 0]) cylinder(r = 2, h = 12, center = true, $fn = 40);
    }
}

// Floor boards, a thwart every 9 mm on an arched web, and the foredeck with a mast hole.
module fittings() {
    intersection() {
        shell(0.8);
        union() {
            for (y = [-2.4, 0, 2.4]) translate([-15, y - 0.7, floor_z - 0.2]) cube([22, 1.4, 0.6]);
            for (x = [-12, -3, 6]) translate([x, 0, 0]) difference() {
                union() {
                    translate([-1.9, -20, 5.2]) cube([3.8, 40, 1.4]);
                    translate([-0.8, -20, 0.4]) cube([1.6, 40, 5]);
                }
                translate([0, 0, floor_z]) rotate([0, 90, 0]) scale([0.65, 1, 1]) cylinder(r = 3.2, h = 20, center = true, $fn = 60);
            }
            difference() {
                translate([9.4, -20, 5.8]) cube([30, 40, 1.4]);
                translate([11, 0, 0]) cylinder(r = 0.75, h = 20, $fn = 48);
            }
            translate([11, 0, 0]) difference() {
                cylinder(r = 2, h = 8.2, $fn = 48);
                translate([0, 0, 2]) cylinder(r = 0.75, h = 20, $fn = 48);
            }
        }
    }
}

module oar() {
    linear_extrude(2.4) translate([0, -1]) square([20, 2]);
    linear_extrude(1.6) hull() {
        translate([19, 0]) circle(1, $fn = 24);
        translate([22, 0]) circle(1.8, $fn = 40);
        translate([26, 0]) circle(1.6, $fn = 40);
    }
    linear_extrude(3.0) circle(1.5, $fn = 32);
}

hull_shell();
fittings();
for (side = [-1, 1]) translate([-13, side * 10.6, 0]) oar();
