# histogram.gp: draw the file "histogram", of lines "PATH MS COUNT".
#
# usage: gnuplot -e "picture='latency.png'" histogram.gp

set terminal png size 720,400 font "sans,10"
set output picture
set title "How long requests take, by path"
set xlabel "ms, from this to twice as much"
set ylabel "requests"
set logscale x 2
set logscale y 10
set grid
set colorsequence podo
set style data linespoints
paths = system("cut -d ' ' -f 1 histogram | sort -u")
plot for [path in paths] "histogram" using (strcol(1) eq path ? $2 : NaN):3 \
	title path linewidth 2 pointtype 7
