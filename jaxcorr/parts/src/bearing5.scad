// A ball bearing with five balls: outer ring with a scalloped grip, inner ring with two keyways, print-in-place gaps.
// Millimetres, 9.6 mm tall: 48 layers of 0.2 mm.

height = 9.6;
num_balls = 5;
pitch_radius = 6.9;
ball_radius = 2.8;
ball_z = 2.5;          // less than the radius, so that each ball has a flat to stand on
gap = 0.4;             // between ball and groove
shoulder = 1.4;        // from the pitch circle to each ring's face
outer_radius = 11.6;
bore_radius = 2.2;

// A ring's cross-section with chamfered edges and the groove taken out, turned about the axis.
module ring(outer, inner, chamfer) {
    rotate_extrude($fn = 72) difference() {
        polygon([
            [inner, chamfer], [inner + chamfer, 0], [outer - chamfer, 0], [outer, chamfer],
            [outer, height - chamfer], [outer - chamfer, height], [inner + chamfer, height], [inner, height - chamfer]]);
        translate([pitch_radius, ball_z]) circle(ball_radius + gap, $fn = 48);
    }
}

module outer_ring() {
    difference() {
        ring(outer_radius, pitch_radius + shoulder, 0.6);
        for (i = [0 : 7]) rotate(45 * i + 15) translate([outer_radius + 1.5, 0, -1]) cylinder(r = 1.8, h = height + 2, $fn = 32);
    }
}

module inner_ring() {
    difference() {
        ring(pitch_radius - shoulder, bore_radius, 0.3);
        for (a = [0, 180]) rotate(a) translate([bore_radius - 1, -0.7, -1]) cube([1.4, 1.4, height + 2]);
    }
}

// A ball is clipped at the bed; turned from the clipped half disc.
module ball() {
    rotate_extrude($fn = 32) intersection() {
        translate([0, ball_z]) circle(ball_radius, $fn = 48);
        square([ball_radius, height]);
    }
}

outer_ring();
inner_ring();
for (i = [0 : num_balls - 1]) rotate(360 / num_balls * i) translate([pitch_radius, 0, 0]) ball();
